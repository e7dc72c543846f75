"""Which commit a server says it was installed from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assay.build import checked_out, commit
from tests.server.client import Api


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, on a branch whose name has a slash."""
    for command in (
        ("init", "--quiet", "--initial-branch", "work/main"),
        ("-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "--allow-empty", "--message", "first"),
    ):
        git(tmp_path, *command)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_is_read_from_its_branch(checkout: Path) -> None:
    assert checked_out(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_branch_may_be_packed_and_a_commit_may_be_checked_out_by_itself(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    assert not (checkout / ".git" / "refs" / "heads" / "work" / "main").exists()
    assert checked_out(checkout) == head
    git(checkout, "checkout", "--quiet", "--detach")
    assert checked_out(checkout) == head


def test_without_a_repository_nothing_is_said(tmp_path: Path) -> None:
    assert checked_out(tmp_path) == ""
    git(tmp_path, "init", "--quiet")
    assert checked_out(tmp_path) == "", "there is no commit yet"


def test_health_names_the_commit_if_it_is_known(api: Api) -> None:
    assert api.get("/api/v1/health").json.get("git_hash", "") == commit()
