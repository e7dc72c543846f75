"""What a worker finds on its machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.model.errors import BadRequest
from assay.model.protocol import Gpu
from assay.worker import machine

_LISTING = "0, GPU-aaaa, NVIDIA H200, 143771\n1, GPU-bbbb, NVIDIA H200, 143771\n2, GPU-cccc, [N/A], [N/A]\n"
ALL = [Gpu("0", "NVIDIA H200", 143771 << 20), Gpu("1", "NVIDIA H200", 143771 << 20), Gpu("2", "[N/A]", 0)]


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which lists three GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{_LISTING}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def test_all_gpus_are_offered_unless_told_otherwise(nvidia_smi: Path) -> None:
    assert machine.gpus(None, {}) == ALL
    assert machine.gpus(2, {}) == ALL[:2]
    assert machine.gpus(0, {}) == []


@pytest.mark.parametrize(("visible", "found"), [("GPU-cccc,0", [2, 0]), ("1", [1]), ("", []), ("9", [])])
def test_what_the_worker_itself_may_see_bounds_the_offer(nvidia_smi: Path, visible: str, found: list[int]) -> None:
    assert machine.gpus(None, {machine.VISIBLE: visible}) == [ALL[i] for i in found]


def test_more_gpus_than_there_are_cannot_be_offered(nvidia_smi: Path) -> None:
    with pytest.raises(BadRequest, match="asks for 4 GPUs, and this machine offers 3"):
        machine.gpus(4, {})


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "printf '\\377,x,y,z'"])
def test_a_program_that_fails_is_no_gpu(nvidia_smi: Path, script: str) -> None:
    nvidia_smi.write_text(f"#!/bin/sh\n{script}\n")
    assert machine.gpus(None, {}) == []


def test_without_the_program_the_number_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus(None, {}) == []
    assert machine.gpus(2, {}) == [Gpu("0"), Gpu("1")]
    assert machine.gpus(1, {machine.VISIBLE: "3,5"}) == [Gpu("3")]


def test_a_run_sees_its_own_gpus_and_no_others() -> None:
    assert machine.environment(("0", "2"), True)[machine.VISIBLE] == "0,2"
    assert machine.environment((), True)[machine.VISIBLE] == ""
    assert machine.environment((), False) == {}
