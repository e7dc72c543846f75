"""Series that are made of tallies: exact, and bounded whatever names users make up."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from assay.model.states import JobState, Status
from assay.server.metrics import Metrics
from assay.server.metrics.gauges import Standing
from assay.server.metrics.series import LIMIT, LONGEST, OTHER, Distribution, edges_of, histogram
from assay.store.base import Connections
from assay.store.changes import JobActed, JobMoved, RunMoved
from tests.server.scrape import Scrape

BOUNDS = st.lists(st.integers(0, 50).map(float), min_size=1, unique=True).map(sorted)


@given(BOUNDS, BOUNDS, st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 60))))
def test_a_histogram_made_of_finer_tallies_is_the_one_that_counting_gives(
    bounds: list[float], others: list[float], values: list[tuple[str, float]]
) -> None:
    tallies = {name: Distribution(edges_of(bounds, others)) for name in "ab"}
    for name, value in values:
        tallies[name].add(value)
    family = histogram("h", "h", ("all",), bounds, [(("x",), tally) for tally in tallies.values()])
    found = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "h_bucket"}
    ordered = sorted(value for _, value in values)
    assert found == {f"{bound:g}": bisect_right(ordered, bound) for bound in bounds} | {"+Inf": len(values)}


def scrape_of(metrics: Metrics, jobs: list[tuple[str, str, int]] | None = None) -> Scrape:
    standing = Standing(jobs or [], {}, Connections("sqlite", "assay.db", 0, 4, 4), {"logs": 0})
    return Scrape(metrics.render(standing).decode())


def test_tenants_that_requests_make_up_are_counted_together_from_some_number_on() -> None:
    metrics = Metrics("http://127.0.0.1:1")
    for number in range(LIMIT + 50):
        metrics.requests.observe("/x", "GET", 200, 0.1, f"t{number}", "1.1", 0, 0)
    metrics.requests.observe("/x", "GET", 200, 0.1, "t0", "1.1", 0, 0)
    scrape = scrape_of(metrics)
    counts = scrape.by("evalhub_eval_api_request_duration_seconds_count", "tenant")
    assert len(counts) == LIMIT + 1
    assert (counts["t0",], counts[OTHER,]) == (2, 50)
    assert scrape.value("assay_http_requests_total", route="/x", method="GET", status="200") == LIMIT + 51


def test_an_endless_name_is_counted_under_other() -> None:
    metrics = Metrics("http://127.0.0.1:1")
    for tenant in ("t" * LONGEST, "t" * (LONGEST + 1)):
        metrics.requests.observe("/x", "GET", 200, 0.1, tenant, "1.1", 0, 0)
    counts = scrape_of(metrics).by("evalhub_eval_api_request_duration_seconds_count", "tenant")
    assert counts == {("t" * LONGEST,): 1, (OTHER,): 1}


def test_jobs_benchmarks_and_actions_are_bounded_each_for_itself() -> None:
    metrics = Metrics("http://127.0.0.1:1")
    for number in range(LIMIT + 7):
        name = f"n{number}"
        metrics.transitions.told(
            [
                JobMoved("t", name, "", None, JobState.PENDING, 0.0),
                RunMoved("t", "p", name, Status.COMPLETED, 1.0),
                JobActed("created", "process", name),
            ]
        )
    scrape = scrape_of(metrics)
    for family, labels, other in (
        ("evalhub_evaluation_jobs_total", ("provider", "collection"), (OTHER, OTHER)),
        ("evalhub_benchmark_completions_total", ("provider", "benchmark_name"), (OTHER, OTHER)),
        ("evalhub_evaluation_job_actions_total", ("tenant",), (OTHER,)),
    ):
        counts = scrape.by(family, *labels)
        assert (len(counts), counts[other]) == (LIMIT + 1, 7), family


def test_gauges_show_the_tenants_with_most_jobs_and_the_rest_together() -> None:
    jobs = [(f"t{number}", "pending", 1 + (number < 10)) for number in range(LIMIT + 20)]
    scrape = scrape_of(Metrics("http://127.0.0.1:1"), list(reversed(jobs)))
    counts = scrape.by("evalhub_eval_active_jobs", "tenant")
    assert len(counts) == LIMIT + 1
    assert {counts[f"t{number}",] for number in range(10)} == {2}
    assert counts[OTHER,] == 20
    assert sum(counts.values()) == scrape.value("evalhub_evaluation_jobs_active") == LIMIT + 30


def test_methods_that_nobody_knows_are_one_in_opentelemetrys_words() -> None:
    metrics = Metrics("http://127.0.0.1:1")
    metrics.requests.observe("/x", "other", 405, 0.1, "", "1.1", 0, 0)
    assert scrape_of(metrics).value("http_server_request_count_total", http_request_method="_OTHER") == 1


def test_names_with_quotes_and_line_ends_do_not_break_the_scrape() -> None:
    metrics = Metrics("http://127.0.0.1:1")
    name = 'a"b\\c\nd } 1 ü'
    metrics.transitions.told([JobActed("created", "process", name)])
    assert scrape_of(metrics).by("evalhub_evaluation_job_actions_total", "tenant") == {(name,): 1}
