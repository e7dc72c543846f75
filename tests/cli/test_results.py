from __future__ import annotations

import copy
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from assay.cli import live, result_table, results, text

from .fake_server import FakeServer, failed, finished, running


def job(*changes: Any) -> dict[str, Any]:
    """A job of two benchmarks after these changes."""
    names = ("arithmetic", "cloze")
    body = {"benchmarks": [{"provider_id": "practice", "id": name} for name in names]}
    made = FakeServer().submit(body)
    for change in changes:
        change(made)
    return copy.deepcopy(made)


def test_a_job_passes_only_if_all_its_tests_do() -> None:
    done = job(finished(0.75))
    assert results.passed(done)
    done["results"]["benchmarks"][1]["test"]["pass"] = False
    assert not results.passed(done)


def test_a_job_without_thresholds_passes_when_it_is_completed() -> None:
    done = job(finished())
    done["results"].pop("test")
    for row in done["results"]["benchmarks"]:
        row.pop("test")
    assert results.passed(done)
    assert "nothing was tested" in results.verdict(done)


@pytest.mark.parametrize("state", ["failed", "cancelled", "partially_failed", "running"])
def test_a_job_that_is_not_completed_does_not_pass(state: str) -> None:
    done = job(finished())
    done["status"]["state"] = state
    assert not results.passed(done)


def test_a_filtered_metric_finds_its_standard_error() -> None:
    done = job(finished())
    done["results"]["benchmarks"][0].pop("test")
    done["results"]["benchmarks"][0]["metrics"] = {"acc,strict": 0.5, "acc_stderr,strict": 0.1, "group/acc": 1.0}
    first = results.rows(done)[0]
    assert (first.metric, first.value) == ("acc,strict", "0.5000 ± 0.1000")
    assert results.rows(done)[1].benchmark == "practice/cloze"


def test_a_benchmark_without_a_result_has_a_row_that_says_so() -> None:
    rows = results.rows(job(failed("no")))
    assert [(row.benchmark, row.result) for row in rows] == [
        ("practice/arithmetic", "failed"),
        ("practice/cloze", "pending"),
    ]


def shown_at(width: int, *changes: Any) -> list[str]:
    return [line for line, _ in result_table.lines(results.rows(job(*changes)), width)]


def test_a_wide_terminal_shows_the_results_as_one_table() -> None:
    heading, first, second, *_ = shown_at(85, finished(0.75))
    assert heading.split() == list(results.HEADINGS)
    assert first.split() == ["practice/arithmetic", "exact_match", "0.7500", "±", "0.0625", "48", "2", "0.6", "pass"]
    assert second.split() == ["other", "0.5000"]


def test_a_narrower_one_has_a_line_for_each_benchmark() -> None:
    assert shown_at(60, finished(0.75))[:4] == [
        "  METRIC                VALUE  N ERRORED THRESHOLD RESULT",
        "practice/arithmetic",
        "  exact_match 0.7500 ± 0.0625 48       2       0.6 pass",
        "  other                0.5000",
    ]


def test_a_narrow_one_has_the_counts_below_their_metric() -> None:
    assert shown_at(45, finished(0.5))[:4] == [
        "practice/arithmetic",
        "  exact_match  0.5000 ± 0.0625",
        "    n 48, errored 2, threshold 0.6, fail",
        "  other        0.5000",
    ]


@pytest.mark.parametrize("width", [10, 20, 30, 45, 60, 80, 200])
def test_no_width_hides_anything_but_the_end_of_a_metric(width: int) -> None:
    shown = "\n".join(shown_at(width, finished(0.75), failed("no")))
    for cell in ("practice/arithmetic", "exact_m", "0.7500 ± 0.0625", "48", "0.6", "pass", "other", "failed"):
        assert cell in shown


def test_the_result_is_what_is_coloured() -> None:
    for width in (45, 60, 85):
        for line, row in result_table.lines(results.rows(job(finished(0.5))), width):
            assert row is None or line.endswith(row.result)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.7291666, "0.7292"), (48, "48"), (1.0, "1.0"), (1e-7, "1e-07"), ("text", "text"), (True, "True")]
)
def test_numbers_are_short(value: Any, shown: str) -> None:
    assert results.number(value) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-01-02T11:59:18Z", "42s"),
        ("2026-01-02T11:53:00.123456789Z", "6m"),
        ("2026-01-02T09:00:00+00:00", "3h"),
        ("2025-12-21T12:00:00Z", "12d"),
        ("2026-01-02T12:00:05Z", "0s"),
        ("", "-"),
        ("2026-01-02T09:00:00", "-"),
    ],
)
def test_ages_have_one_unit(moment: str, shown: str) -> None:
    assert text.age(moment, datetime(2026, 1, 2, 12, tzinfo=UTC)) == shown


def test_bars_follow_the_job() -> None:
    screen = io.StringIO()
    with Progress(console=Console(file=screen, force_terminal=True, width=100), auto_refresh=False) as progress:
        bars = live.Bars(progress)
        bars.update(job())
        first, second = progress.tasks
        assert (first.total, first.fields["state"]) == (None, "pending")
        bars.update(job(running(12, 48)))
        assert (first.completed, first.total, first.fields["state"]) == (12, 48, "running")
        bars.note("a remark")
        bars.update(job(finished()))
        assert first.finished
        assert second.finished
        assert (second.completed, second.total) == (50, 50)
    assert "a remark" in screen.getvalue()


def test_lines_tell_every_tenth_part_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = live.Lines()
    for done in range(101):
        lines.update(job(running(done, 100)))
    told = [line for line in capsys.readouterr().err.splitlines() if "arithmetic" in line]
    assert len(told) == 11
    assert told[-1] == "practice/arithmetic: running, 100/100"
