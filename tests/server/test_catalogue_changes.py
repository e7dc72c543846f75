"""Catalogue files that change while the server runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.evalhub.live import until
from tests.server.catalogue import benchmark, provider, write
from tests.server.client import PROVIDERS, job_body
from tests.server.serving import Served, serving

COLLECTIONS = "/api/v1/evaluations/collections"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "catalogue", provider("first", "true", title="Before"), provider("second", "true"))


@pytest.fixture
def served(tmp_path: Path, folder: Path) -> Iterator[Served]:
    with serving(tmp_path, "--catalog", str(folder)) as running:
        yield running


def title(served: Served, name: str) -> str:
    reply = served.api.get(f"{PROVIDERS}/{name}")
    return str(reply.json["title"]) if reply.status == 200 else str(reply.status)


def ids(served: Served) -> set[str]:
    """Return the ids of a list, which the server keeps while nothing changes."""
    return {item["resource"]["id"] for item in served.api.get(f"{PROVIDERS}?limit=0").json["items"]}


def test_a_changed_file_replaces_its_entry_and_keeps_the_time_of_its_making(served: Served, folder: Path) -> None:
    before = served.api.get(f"{PROVIDERS}/first").json
    untouched = served.api.get(f"{PROVIDERS}/second").json
    changed = write(folder, provider("first", "true", title="After")) / "providers" / "first.yaml"
    os.utime(changed, (2_000_000_000, 2_000_000_000))
    until(lambda: title(served, "first") == "After", "the new title")
    after = served.api.get(f"{PROVIDERS}/first").json
    assert after["resource"]["created_at"] == before["resource"]["created_at"]
    assert after["resource"]["updated_at"] > before["resource"]["updated_at"]
    assert served.api.get(f"{PROVIDERS}/second").json == untouched


def test_a_file_that_was_only_touched_changes_nothing(served: Served, folder: Path) -> None:
    before = served.api.get(f"{PROVIDERS}/first").json
    os.utime(folder / "providers" / "first.yaml", (2_000_000_000, 2_000_000_000))
    write(folder, provider("third", "true"))
    until(lambda: "third" in ids(served), "the new entry")
    assert served.api.get(f"{PROVIDERS}/first").json == before


def test_lists_follow_files_that_come_and_go(served: Served, folder: Path) -> None:
    assert {"first", "second"} <= ids(served)
    write(folder, provider("third", "true"))
    (folder / "collections").mkdir()
    listed = {"id": "new", "name": "new", "category": "general", "benchmarks": [{"id": "b0", "provider_id": "third"}]}
    (folder / "collections" / "new.yaml").write_text(yaml.safe_dump(listed))
    (folder / "providers" / "second.yaml").unlink()
    until(lambda: {"first", "third"} <= ids(served) and "second" not in ids(served), "the new list")
    assert served.api.get(f"{COLLECTIONS}/new").status == 200
    assert served.api.post("/api/v1/evaluations/jobs", job_body("b0", provider="third")).status == 202


@pytest.mark.parametrize(
    "text",
    ["id: first\nbenchmarks: 5", "[", "id: second\nname: taken\nbenchmarks: []", "id: first\nsince: 2024-99-99", "[" * 5000],
    ids=["of another shape", "no YAML", "an id that another file has", "a date that is none", "too deep"],
)
def test_an_invalid_file_leaves_everything_as_it_was_until_it_is_right_again(
    served: Served, folder: Path, text: str
) -> None:
    file = folder / "providers" / "first.yaml"
    file.write_text(text)
    until(lambda: "the catalogue stays as it was" in served.log.read_text(), "the line in the log")
    assert str(file) in served.log.read_text() or "second.yaml" in served.log.read_text()
    assert title(served, "first") == "Before"
    write(folder, provider("first", "true", title="After"))
    until(lambda: title(served, "first") == "After", "the new title")


def test_a_mounted_folder_whose_link_is_swapped_is_read_anew(tmp_path: Path) -> None:
    # So a ConfigMap is mounted: the files are links through a link, which is what changes.
    for name in ("one", "two"):
        write(tmp_path / name, provider("first", "true", title=name))
    (tmp_path / "data").symlink_to("one")
    mounted = tmp_path / "mounted"
    (mounted / "providers").mkdir(parents=True)
    (mounted / "providers" / "first.yaml").symlink_to(tmp_path / "data" / "providers" / "first.yaml")
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server", "--catalog", str(mounted)) as served:
        assert title(served, "first") == "one"
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "data")
        until(lambda: title(served, "first") == "two", "the new title")


def test_a_folder_that_goes_away_leaves_the_entries(served: Served, folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    until(lambda: "the folder does not exist" in served.log.read_text(), "the line in the log")
    assert title(served, "first") == "Before"


def test_a_user_s_entry_takes_the_place_of_a_built_in_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "catalogue", provider("garak", "true", benchmark("ours"), title="Ours"))
    with serving(tmp_path, "--catalog", str(folder)) as served:
        assert [entry["id"] for entry in served.api.get(f"{PROVIDERS}/garak").json["benchmarks"]] == ["ours"]
        (folder / "providers" / "garak.yaml").unlink()
        until(lambda: title(served, "garak") != "Ours", "the built-in entry")
        assert served.api.get(f"{PROVIDERS}/garak").status == 200


def test_a_file_without_an_id_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    folder = write(tmp_path / "catalogue", provider("first", "true"))
    (folder / "providers" / "notes.yaml").write_text("name: notes\nbenchmarks: []")
    with serving(tmp_path, "--catalog", str(folder)) as served:
        assert title(served, "first") == ""
        assert "notes.yaml has no id and is passed over" in served.log.read_text()
