"""The catalogue's providers: read and list."""

from __future__ import annotations

import pytest

from tests.server.client import PROVIDERS, Api


def ids(api: Api, query: str = "") -> list[str]:
    reply = api.get(f"{PROVIDERS}?{query}")
    assert reply.status == 200, reply.text
    return [item["resource"]["id"] for item in reply.json["items"]]


def test_a_provider_is_shown_as_its_file_has_it(api: Api) -> None:
    document = api.get(f"{PROVIDERS}/tagged").json
    assert list(document) == ["resource", "name", "description", "title", "tags", "benchmarks", "runtime"]
    assert list(document["resource"]) == ["id", "created_at", "updated_at", "owner"]
    assert (document["resource"]["id"], document["resource"]["owner"]) == ("tagged", "system")
    assert (document["name"], document["title"], document["tags"]) == ("tagged", "Tagged", ["red", "blue"])
    assert document["runtime"] == {"local": {"command": "true"}}
    assert document["benchmarks"][0] == {
        "id": "b0",
        "name": "B0",
        "category": "general",
        "num_few_shot": 0,
        "dataset_size": 0,
    }


def test_members_that_the_contract_always_shows_are_there_even_when_empty(api: Api) -> None:
    document = api.get(f"{PROVIDERS}/manual").json
    assert document["title"] == ""
    assert "description" not in document


def test_an_unknown_provider_is_a_404(api: Api) -> None:
    reply = api.get(f"{PROVIDERS}/nope")
    assert (reply.status, reply.code) == (404, "resource_not_found")
    assert reply.message == "The provider resource 'nope' was not found."


def test_the_catalogues_providers_come_by_id_and_every_tenant_sees_them(api: Api) -> None:
    shown = ids(api)
    assert shown == sorted(shown)
    assert {"practice", "lm_eval", "manual", "scored", "tagged", "tagged-too"} <= set(shown)
    assert ids(api.as_(x_tenant="somebody")) == shown


def test_items_are_whole_providers(api: Api) -> None:
    (item,) = api.get(f"{PROVIDERS}?name=tagged").json["items"]
    assert item == api.get(f"{PROVIDERS}/tagged").json


@pytest.mark.parametrize("flag", ["false", "0", "F"])
def test_benchmarks_can_be_left_out(api: Api, flag: str) -> None:
    whole, brief = api.get(PROVIDERS).json["items"], api.get(f"{PROVIDERS}?benchmarks={flag}").json["items"]
    assert all(item["benchmarks"] == [] for item in brief)
    assert [item | {"benchmarks": []} for item in whole] == brief


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=tagged", ["tagged"]),
        ("name=tagged,manual", ["manual", "tagged"]),
        ("tags=red", ["tagged", "tagged-too"]),
        ("tags=red,blue", ["tagged"]),
        ("tags=red&tags=blue", ["tagged"]),
        ("tags=blue%7Cgreen", ["tagged"]),
        ("tags=red,!blue", ["tagged-too"]),
        ("scope=system&tags=red", ["tagged", "tagged-too"]),
        ("scope=tenant", []),
        ("owner=system&tags=blue", ["tagged"]),
        ("owner=!system", []),
        ("owner=ann", []),
    ],
)
def test_a_filter_finds(api: Api, query: str, expected: list[str]) -> None:
    assert ids(api.as_(x_tenant="filters"), query) == expected


def test_pages_follow_each_other(api: Api) -> None:
    shown, href = [], f"{PROVIDERS}?limit=1&benchmarks=false"
    while href:
        page = api.get(href).json
        assert page["first"]["href"] == href
        shown += [item["resource"]["id"] for item in page["items"]]
        href = page.get("next", {}).get("href")
    assert shown == ids(api)
    assert page["total_count"] == len(shown)
    assert len(ids(api, "limit=0")) == len(shown)
    assert ids(api, "limit=0&offset=2") == shown[2:]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=abc", "query_parameter_invalid", "The query parameter 'limit' is not a valid integer: 'abc'."),
        ("benchmarks=maybe", "query_parameter_invalid", "The query parameter 'benchmarks' is not a valid boolean: 'maybe'."),
        (
            "scope=x",
            "query_parameter_value_invalid",
            "The query parameter 'scope' is not valid. Allowed values are: 'system|tenant'.",
        ),
        ("scope=system&owner=a", "query_parameter_mismatch", "The query parameters 'owner,scope' are mutually exclusive."),
        (
            "zzz=1",
            "query_bad_parameter",
            "The parameter 'zzz' is not a valid query parameter. Allowed parameters are: "
            "limit, offset, benchmarks, name, tags, owner, scope.",
        ),
    ],
)
def test_a_bad_query_is_refused(api: Api, query: str, code: str, message: str) -> None:
    reply = api.get(f"{PROVIDERS}?{query}")
    assert (reply.status, reply.code, reply.message) == (400, code, message)
