"""`assay demo` before it starts anything; tests/system has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.cli import programs

from .conftest import Cli


@pytest.mark.parametrize("folder", ["file/below", "/proc", "/proc/below"])
def test_a_folder_that_cannot_be_used_is_refused_before_the_engine_is_installed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSAY_ENGINES_DIR", str(tmp_path / "engines"))
    monkeypatch.setattr(programs, "install_engine", lambda *_: pytest.fail("it installs"))
    shown = cli("demo", "--data", str(tmp_path / folder))
    assert shown.code == 2
    assert shown.err.startswith(f"error: The folder {tmp_path / folder} cannot be used: ")
    assert len(shown.err.splitlines()) == 1
