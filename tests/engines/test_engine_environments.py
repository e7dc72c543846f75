"""Installing engine environments."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from assay.engines import environments
from assay.engines.environments import EngineInstallError, Environment
from assay.engines.lm_eval.tasks import close_tasks, known_task


def test_an_installed_environment_is_found_and_not_built_again(lm_eval_environment: Environment) -> None:
    folder = lm_eval_environment.path.parents[1]
    said: list[str] = []

    assert environments.environment(folder, "lm_eval") == lm_eval_environment
    assert environments.install(folder, "lm_eval", report=said.append) == lm_eval_environment
    assert len(said) == 1
    assert "already installed" in said[0]


def test_the_marker_says_what_is_installed(lm_eval_environment: Environment) -> None:
    [release] = environments.catalogued()
    marker = json.loads((lm_eval_environment.path / environments.MARKER).read_text())

    assert marker["version"] == release.version == "0.4.13"
    assert marker["lock_sha256"] == release.lock_sha256


def test_the_lock_pins_every_package_exactly() -> None:
    [release] = environments.catalogued()
    lines = [line for line in release.lock.read_text().splitlines() if not line.startswith("#")]

    assert all("==" in line for line in lines)
    assert "lm-eval==0.4.13" in lines


def test_a_folder_without_a_marker_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "lm_eval/0.4.13/venv/bin").mkdir(parents=True)
    (tmp_path / "lm_eval/0.4.13/venv/bin/python").touch()

    assert environments.environment(tmp_path, "lm_eval") is None
    assert environments.environment(tmp_path, "no_such_engine") is None


def test_an_unknown_engine_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(EngineInstallError, match="lm_eval"):
        environments.install(tmp_path, "no_such_engine", report=print)


def test_a_failed_install_shows_its_last_lines_and_leaves_nothing_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'no route to the index' >&2\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    with pytest.raises(EngineInstallError, match=r"(?s)exit code 3.*no route to the index.*run the command again"):
        environments.install(tmp_path / "engines", "lm_eval", report=lambda _: None)
    assert environments.environment(tmp_path / "engines", "lm_eval") is None


def test_a_folder_that_cannot_be_made_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file")

    with pytest.raises(EngineInstallError, match="choose another folder"):
        environments.install(tmp_path / "engines", "lm_eval", report=print)


def test_the_task_index_knows_the_librarys_names(lm_eval_environment: Environment) -> None:
    assert known_task(lm_eval_environment, "gsm8k")
    assert known_task(lm_eval_environment, "mmlu")
    assert not known_task(lm_eval_environment, "no_such_task")
    assert "gsm8k" in close_tasks(lm_eval_environment, "gsm8kk")
