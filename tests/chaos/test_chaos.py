"""Random faults under load: nothing that was promised is lost, nothing is done twice, nothing stays. A short campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import lm_eval_environment

from .campaign import Options, run

__all__ = ["lm_eval_environment"]

# On one test process, one after the other, and beside no other test that counts seconds.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos")]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_nothing_is_violated_by_a_minute_of_faults(store: str, tmp_path: Path) -> None:
    run(tmp_path, Options(store, seed=20261121, faults=25, minutes=1), print)
