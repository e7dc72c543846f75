"""Lists of jobs: pages, links, filters, order."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.server.client import JOBS, Api, Reply, job_body, unique


@pytest.fixture(scope="module")
def tenant(api: Api) -> Api:
    """A tenant with ten jobs: names, tags, owners and states that differ."""
    mine = api.as_(x_tenant=unique("lists"), x_user="ann")
    bob = api.as_(x_tenant=mine.headers["x-tenant"], x_user="bob")
    for i in range(10):
        tags = [tag for tag, n in (("even", 2), ("third", 3), ("fifth", 5)) if i % n == 0]
        who = bob if i == 7 else mine
        who.submit(name=f"job-{i}" if i < 8 else "a, b", tags=tags or ["none"])
    newest = [item["resource"]["id"] for item in mine.get(JOBS).json["items"]]
    assert mine.report(newest[0], "running").status == 204
    assert mine.report(newest[1], "completed").status == 204
    assert mine.report(newest[2], "failed").status == 204
    assert mine.delete(f"{JOBS}/{newest[3]}").status == 204
    return mine


def names(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.text
    return [item["name"] for item in reply.json["items"]]


def found(api: Api, **query: str) -> list[str]:
    return names(api.get(JOBS + "?" + "&".join(f"{key}={quote(value)}" for key, value in query.items())))


ALL = ["a, b", "a, b", "job-7", "job-6", "job-5", "job-4", "job-3", "job-2", "job-1", "job-0"]


def test_jobs_come_newest_first(tenant: Api) -> None:
    assert names(tenant.get(JOBS)) == ALL


def test_a_page_says_its_limit_its_total_and_where_it_came_from(tenant: Api) -> None:
    page = tenant.get(JOBS + "?limit=4").json
    assert list(page) == ["first", "next", "limit", "total_count", "items"]
    assert (page["limit"], page["total_count"], len(page["items"])) == (4, 10, 4)
    assert page["first"] == {"href": f"{JOBS}?limit=4"}
    assert page["next"] == {"href": f"{JOBS}?limit=4&offset=4"}


def test_fifty_is_the_default(tenant: Api) -> None:
    page = tenant.get(JOBS).json
    assert (page["limit"], page["first"]["href"]) == (50, JOBS)
    assert "next" not in page


def test_following_next_shows_every_job_once(tenant: Api) -> None:
    shown, href = [], f"{JOBS}?limit=3"
    while href:
        reply = tenant.get(href)
        assert reply.json["limit"] == 3
        assert reply.json["first"]["href"] == href
        shown += names(reply)
        href = reply.json.get("next", {}).get("href")
    assert shown == ALL


@pytest.mark.parametrize(
    "query",
    ["limit=2&tags=even%7Cfifth", "tags=even%2Cthird&limit=1", "name=a%2C%20b&limit=1", "limit=1&status=pending&owner=ann",
     "limit=01&tags=even", "limit=2&limit=9&tags=even"],
)  # fmt: skip
def test_links_work_when_they_are_requested_as_they_are(tenant: Api, query: str) -> None:
    first = tenant.get(f"{JOBS}?{query}")
    assert first.json["first"]["href"] == f"{JOBS}?{query}"
    assert names(tenant.get(first.json["first"]["href"])) == names(first)
    filters = [part for part in query.split("&") if not part.startswith("limit=")]
    everything = names(tenant.get(f"{JOBS}?{'&'.join(filters)}"))
    shown, href = [], first.json["first"]["href"]
    while href:
        reply = tenant.get(href)
        shown += names(reply)
        href = reply.json.get("next", {}).get("href")
    assert len(shown) == first.json["total_count"]
    assert shown == everything


def test_next_keeps_the_order_of_a_repeated_parameter(tenant: Api) -> None:
    href = tenant.get(f"{JOBS}?limit=2&limit=-1").json["next"]["href"]
    assert href == f"{JOBS}?limit=2&limit=-1&offset=2"
    assert tenant.get(href).json["limit"] == 2


def test_next_keeps_the_filters_and_sorts_the_query(tenant: Api) -> None:
    href = tenant.get(f"{JOBS}?tags=even&limit=1&status=pending&offset=1").json["next"]["href"]
    assert urlsplit(href).scheme == ""
    assert [part.split("=")[0] for part in urlsplit(href).query.split("&")] == ["limit", "offset", "status", "tags"]
    assert parse_qs(urlsplit(href).query) == {"limit": ["1"], "offset": ["2"], "status": ["pending"], "tags": ["even"]}


@pytest.mark.parametrize(("offset", "limit"), [(0, 10), (9, 1), (10, 5), (5, 5), (99_999, 50)])
def test_there_is_no_next_at_the_end(tenant: Api, offset: int, limit: int) -> None:
    page = tenant.get(f"{JOBS}?offset={offset}&limit={limit}").json
    assert "next" not in page
    assert len(page["items"]) == min(limit, max(0, 10 - offset))
    assert page["total_count"] == 10


def test_limit_zero_shows_everything_that_the_offset_leaves(tenant: Api) -> None:
    page = tenant.get(f"{JOBS}?limit=0&offset=3").json
    assert [item["name"] for item in page["items"]] == ALL[3:]
    assert (page["limit"], page["total_count"]) == (0, 10)
    assert "next" not in page


def test_an_empty_page_has_an_empty_list(tenant: Api) -> None:
    page = tenant.get(f"{JOBS}?name=nobody").json
    assert (page["items"], page["total_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "job-3"}, ["job-3"]),
        ({"name": "job-3,job-5"}, ["job-5", "job-3"]),
        ({"name": "job-3|job-5|nope"}, ["job-5", "job-3"]),
        ({"name": "a, b"}, ["a, b", "a, b"]),
        ({"name": "JOB-3"}, []),
        ({"name": "job"}, []),
        ({"owner": "bob"}, ["job-7"]),
        ({"owner": "!ann"}, ["job-7"]),
        ({"owner": "ann,bob"}, ALL),
        ({"tags": "third"}, ["a, b", "job-6", "job-3", "job-0"]),
        ({"tags": "even,third"}, ["job-6", "job-0"]),
        ({"tags": "even,third,fifth"}, ["job-0"]),
        ({"tags": "third|fifth"}, ["a, b", "job-6", "job-5", "job-3", "job-0"]),
        ({"tags": "!even", "name": "!job-1"}, ["a, b", "job-7", "job-5", "job-3"]),
        ({"tags": "third,!even"}, ["a, b", "job-3"]),
        ({"status": "running"}, ["a, b"]),
        ({"status": "completed,failed"}, ["a, b", "job-7"]),
        ({"status": "cancelled|failed"}, ["job-7", "job-6"]),
        ({"status": "!pending"}, ["a, b", "a, b", "job-7", "job-6"]),
        ({"status": "zzz"}, []),
        ({"status": "pending", "tags": "third"}, ["job-3", "job-0"]),
        ({"experiment_id": "x"}, []),
        ({"tags": "even", "owner": "bob"}, []),
    ],
    ids=str,
)
def test_a_filter_finds(tenant: Api, query: dict[str, str], expected: list[str]) -> None:
    assert found(tenant, **query) == expected


def test_a_repeated_tag_asks_for_both_and_a_repeated_name_for_either(tenant: Api) -> None:
    assert names(tenant.get(f"{JOBS}?tags=even&tags=third")) == ["job-6", "job-0"]
    assert names(tenant.get(f"{JOBS}?name=job-1&name=job-2")) == ["job-2", "job-1"]


def test_an_empty_filter_is_no_filter(tenant: Api) -> None:
    assert names(tenant.get(f"{JOBS}?name=&status=&tags=&owner=&experiment_id=&limit=&offset=")) == ALL


def test_values_are_decoded_once(tenant: Api) -> None:
    assert names(tenant.get(f"{JOBS}?name=job%2D3")) == ["job-3"]
    assert names(tenant.get(f"{JOBS}?name=job%252D3")) == []
    assert names(tenant.get(f"{JOBS}?tags=third|fifth")) == names(tenant.get(f"{JOBS}?tags=third%7Cfifth"))


HUGE = 20 * "9"


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=abc", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: 'abc'."),
        ("limit=1.5", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: '1.5'."),
        ("limit=+5", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: ' 5'."),
        ("limit=-1", "query_parameter_invalid", "The query parameter 'limit' is not a valid positive integer: '-1'."),
        ("offset=-1", "query_parameter_invalid", "The query parameter 'offset' is not a valid positive integer: '-1'."),
        ("offset=x", "query_parameter_invalid", "The query parameter 'offset' is not a valid integer: 'x'."),
        ("limit=%D9%A3", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: '\u0663'."),
        ("limit=" + HUGE, "query_parameter_invalid", f"The query parameter 'limit' is not a valid integer: '{HUGE}'."),
        ("limit=x&zzz=1", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: 'x'."),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)  # fmt: skip
def test_a_bad_query_is_refused(api: Api, query: str, code: str, message: str) -> None:
    reply = api.get(f"{JOBS}?{query}")
    assert (reply.status, reply.code, reply.message) == (400, code, message)


@pytest.mark.parametrize(
    ("query", "name"),
    [("zzz=1", "zzz"), ("zzz=", "zzz"), ("zzz", "zzz"), ("scope=system", "scope"), ("b=1&a=1", "b"), ("Limit=1", "Limit")],
)
def test_an_unknown_parameter_is_refused_and_those_of_the_contract_named_first(api: Api, query: str, name: str) -> None:
    reply = api.get(f"{JOBS}?{query}")
    assert (reply.status, reply.code) == (400, "query_bad_parameter")
    assert reply.message.startswith(
        f"The parameter '{name}' is not a valid query parameter. Allowed parameters are: "
        "limit, offset, status, name, tags, owner, experiment_id"
    )
    assert reply.message.endswith(".")


@pytest.mark.parametrize("sign", [",", "|"])
@pytest.mark.parametrize("name", ["status", "name", "tags", "owner", "experiment_id", "model", "collection_id"])
@pytest.mark.parametrize("excluded", [False, True])
def test_a_filter_has_a_hundred_values_at_most(api: Api, name: str, sign: str, excluded: bool) -> None:
    values = [f"{'!' if excluded else ''}v{i}" for i in range(101)]
    for path in (JOBS, "/api/v1/evaluations/results.csv"):
        assert api.get(f"{path}?{name}={sign.join(values[:100])}").status == 200
        reply = api.get(f"{path}?{name}={sign.join(values)}")
        assert (reply.status, reply.code) == (400, "query_parameter_invalid")
        assert f"'{name}' is not a valid filter of at most 100 values" in reply.message


def test_every_filter_at_its_limit_is_answered(api: Api) -> None:
    values = "|".join(f"v{i}" for i in range(50)) + "|" + "|".join(f"!w{i}" for i in range(50))
    filters = "&".join(f"{name}={values}" for name in ("status", "name", "owner", "experiment_id", "model", "collection_id"))
    tags = ",".join(f"v{i}" for i in range(100))
    assert names(api.get(f"{JOBS}?{filters}&tags={tags}")) == []


@pytest.mark.parametrize("limit", ["05", "%2B5", "0005"])
def test_a_sign_and_leading_zeros_are_accepted(api: Api, limit: str) -> None:
    assert api.get(f"{JOBS}?limit={limit}").json["limit"] == 5


def test_a_tenant_sees_its_own_jobs_and_without_one_only_those_without(api: Api) -> None:
    ours, theirs, name = api.as_(x_tenant=unique("a")), api.as_(x_tenant=unique("b")), unique()
    for caller in (ours, theirs, api):
        caller.submit(name=name)
    for caller in (ours, theirs, api):
        assert caller.get(f"{JOBS}?name={name}").json["total_count"] == 1


def test_an_unfinished_page_is_consistent_while_jobs_are_submitted(api: Api) -> None:
    mine = api.as_(x_tenant=unique("growing"))
    for i in range(5):
        mine.submit(name=f"n{i}")
    first = mine.get(f"{JOBS}?limit=2")
    mine.submit(name="late")
    assert mine.get(JOBS).json["total_count"] == first.json["total_count"] + 1
    assert [item["name"] for item in mine.get(f"{JOBS}?limit=3").json["items"]] == ["late", *names(first)]


def test_items_are_whole_documents(api: Api) -> None:
    mine = api.as_(x_tenant=unique("whole"))
    job_id = mine.post(JOBS, job_body("b0", "b1", custom={"a": [1]})).json["resource"]["id"]
    assert mine.report(job_id, "running").status == 204
    assert mine.get(JOBS).json["items"] == [mine.job(job_id)]


def test_a_summary_has_what_a_list_shows_and_no_more(api: Api) -> None:
    mine = api.as_(x_tenant=unique("summary"), x_user="ann")
    job_id = mine.submit("judged", provider="scored", name="first", custom={"big": "x" * 1000})
    assert mine.report(job_id, "completed", provider="scored", benchmark="judged", metrics={"acc": 0.75}).status == 204
    mine.post(JOBS, {"name": "second", "model": {"url": "http://m", "name": "n"}, "collection": {"id": "practice-v1"}})
    whole, page = mine.get(JOBS).json, mine.get(f"{JOBS}?fields=summary").json
    assert {name: page[name] for name in ("limit", "total_count")} == {"limit": 50, "total_count": 2}
    for brief, full in zip(page["items"], whole["items"], strict=True):
        assert brief["resource"] == full["resource"]
    second, first = page["items"]
    assert (second["name"], second["model"], second["collection"]) == ("second", {"name": "n"}, {"id": "practice-v1"})
    assert first["status"] == {"state": "completed"}
    assert first["results"] == {"test": {"score": 0.75, "threshold": 0.5, "pass": True}}
    assert "custom" not in first
    assert names(mine.get(f"{JOBS}?fields=summary&status=completed&limit=1")) == ["first"]


def test_a_list_has_no_other_selection_of_fields(api: Api) -> None:
    reply = api.get(f"{JOBS}?fields=name")
    assert (reply.status, reply.code) == (400, "query_parameter_value_invalid")
    assert "'summary'" in reply.message
