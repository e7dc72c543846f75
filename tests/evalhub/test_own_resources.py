"""Providers and collections of one's own: make, read, change, delete, clone; and jobs that run a collection."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.server.client import JOBS, PROVIDERS, Api, job_body

COLLECTIONS = "/api/v1/evaluations/collections"


@pytest.fixture
def tenant(api: Api) -> Api:
    """A tenant of its own, so that tests see only what they made."""
    return api.as_(x_tenant=f"t-{uuid.uuid4()}", x_user="me")


def _collection(**more: Any) -> dict[str, Any]:
    benchmarks = [{"id": "judged", "provider_id": "scored", "weight": 3}, {"id": "loss", "provider_id": "scored"}]
    return {"name": "mine", "category": "all", "benchmarks": benchmarks} | more


def _made(api: Api, path: str, body: dict[str, Any]) -> str:
    reply = api.post(path, body)
    assert reply.status == 201, reply.text
    return str(reply.json["resource"]["id"])


def test_a_provider_of_ones_own_has_its_tenant_and_owner_and_can_be_submitted_to(tenant: Api) -> None:
    body = {"name": "own", "benchmarks": [{"id": "b"}], "runtime": {"local": {"command": "true"}}}
    provider_id = _made(tenant, PROVIDERS, body)
    found = tenant.get(f"{PROVIDERS}/{provider_id}").json
    assert found["resource"]["owner"] == "me"
    assert found["resource"]["tenant"] == tenant.headers["x-tenant"]
    assert found["title"] == ""
    job = {
        "name": "j",
        "model": {"url": "http://m.example/v1", "name": "m"},
        "benchmarks": [{"id": "b", "provider_id": provider_id}],
    }
    assert tenant.post(JOBS, job).status == 202


def test_a_provider_is_answered_with_its_members_in_the_contracts_order(tenant: Api) -> None:
    benchmark = {"tags": ["x"], "dataset_size": 1, "metrics": ["m"], "category": "c", "description": "d", "name": "n"}
    runtime = {"local": {"command": "true"}, "k8s": {"image": "i", "cpu_request": "100m"}}
    body = {"runtime": runtime, "benchmarks": [benchmark | {"url": "u", "id": "b"}], "title": "t", "description": "d"}
    made = tenant.post(PROVIDERS, body | {"name": "p"}).json
    assert list(made) == ["resource", "name", "description", "title", "benchmarks", "runtime"]
    assert list(made["benchmarks"][0]) == [
        "id", "url", "name", "description", "category", "metrics", "num_few_shot", "dataset_size", "tags",
    ]  # fmt: skip
    assert list(made["runtime"]) == ["k8s", "local"]
    assert list(made["runtime"]["k8s"].items()) == [
        ("Image", "i"), ("Entrypoint", []), ("CPURequest", "100m"), ("MemoryRequest", ""), ("CPULimit", ""),
        ("MemoryLimit", ""), ("Env", []),
        ("image", "i"), ("entrypoint", []), ("cpu_request", "100m"), ("memory_request", ""), ("cpu_limit", ""),
        ("memory_limit", ""), ("env", []),
    ]  # fmt: skip


def test_what_is_read_can_be_written_back_and_changed_in_either_spelling(tenant: Api) -> None:
    runtime = {"k8s": {"image": "i", "cpu_request": "1", "env": [{"name": "A", "value": "1"}]}}
    path = f"{PROVIDERS}/{_made(tenant, PROVIDERS, {'name': 'p', 'runtime': runtime})}"
    shown = tenant.get(path).json
    assert tenant.call("PUT", path, shown).json["runtime"] == shown["runtime"]
    for name, value in (("cpu_request", "2"), ("CPURequest", "3"), ("image", "j"), ("env/0/value", "4")):
        operation = {"op": "replace", "path": f"/runtime/k8s/{name}", "value": value}
        assert tenant.call("PATCH", path, [operation]).status == 200
    changed = tenant.get(path).json["runtime"]["k8s"]
    assert [changed[name] for name in ("cpu_request", "CPURequest", "Image")] == ["3", "3", "j"]
    assert changed["Env"] == [{"Name": "A", "Value": "4"}]


def test_the_url_of_a_benchmark_comes_from_its_provider_and_stands_after_the_names(tenant: Api) -> None:
    benchmark = {"id": "b", "url": "https://example.com/b"}
    provider_id = _made(tenant, PROVIDERS, {"name": "p", "benchmarks": [benchmark]})
    listed = [{"weight": 1.0, "url": "http://other.example", "provider_id": provider_id, "id": "b"}]
    made = tenant.post(COLLECTIONS, _collection(benchmarks=listed))
    assert made.body.count(b'"url":"https://example.com/b","weight":1}') == 1


def test_another_tenant_sees_system_resources_and_not_mine(tenant: Api, api: Api) -> None:
    provider_id = _made(tenant, PROVIDERS, {"name": "own", "benchmarks": [{"id": "b"}]})
    stranger = api.as_(x_tenant="stranger", x_user="you")
    assert stranger.get(f"{PROVIDERS}/{provider_id}").code == "resource_not_found"
    assert stranger.call("DELETE", f"{PROVIDERS}/{provider_id}").code == "resource_not_found"
    assert provider_id not in [item["resource"]["id"] for item in stranger.get(PROVIDERS).json["items"]]
    assert stranger.get(f"{PROVIDERS}/practice").status == 200


def test_system_rows_come_first_and_own_rows_newest_first(tenant: Api) -> None:
    first, second = (_made(tenant, COLLECTIONS, _collection(name=name)) for name in ("one", "two"))
    rows = [item["resource"] for item in tenant.get(f"{COLLECTIONS}?limit=0").json["items"]]
    own = [row["id"] for row in rows if row["owner"] != "system"]
    assert own == [second, first]
    assert all(row["owner"] == "system" for row in rows[: len(rows) - 2])
    assert tenant.get(f"{COLLECTIONS}?scope=tenant&limit=1").json["total_count"] == 2
    assert tenant.get(f"{COLLECTIONS}?name=one").json["items"][0]["resource"]["id"] == first


def test_what_belongs_to_the_system_is_read_only(tenant: Api) -> None:
    path = f"{PROVIDERS}/practice"
    body = {"name": "x", "benchmarks": [{"id": "b"}]}
    assert tenant.call("PUT", path, body).code == "read_only_provider"
    assert tenant.call("PATCH", path, [{"op": "replace", "path": "/name", "value": "x"}]).code == "read_only_provider"
    assert tenant.call("DELETE", path).code == "read_only_provider"


LONG = "x" * 1025


@pytest.mark.parametrize(
    ("operation", "of_provider", "of_collection"),
    [
        ({"op": "move", "path": "/name"}, "invalid_patch_operation", "invalid_patch_operation"),
        ({"op": "remove", "path": "/name"}, "unallowed_patch", "unallowed_patch"),
        ({"op": "replace", "path": "/name", "value": 5}, "invalid_json_request", "read_only_collection"),
        ({"op": "remove", "path": "/tags/77"}, "invalid_json_request", "read_only_collection"),
        ({"op": "replace", "path": "/description", "value": LONG}, "request_validation_failed", "read_only_collection"),
        ({"op": "replace", "path": "/name", "value": "x"}, "read_only_provider", "read_only_collection"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_patch_of_a_systems_provider_is_checked_whole_and_one_of_its_collection_by_its_paths(
    tenant: Api, operation: dict[str, Any], of_provider: str, of_collection: str
) -> None:
    for path, code in ((f"{PROVIDERS}/practice", of_provider), (f"{COLLECTIONS}/practice-v1", of_collection)):
        before = tenant.get(path).body
        reply = tenant.call("PATCH", path, [operation])
        assert (reply.status, reply.code) == (400, code)
        assert tenant.get(path).body == before


def test_put_replaces_all_but_the_identity(tenant: Api) -> None:
    collection_id = _made(tenant, COLLECTIONS, _collection(description="old"))
    before = tenant.get(f"{COLLECTIONS}/{collection_id}").json
    after = tenant.call("PUT", f"{COLLECTIONS}/{collection_id}", _collection(name="new")).json
    assert after["name"] == "new"
    assert "description" not in after
    assert after["resource"]["created_at"] == before["resource"]["created_at"]
    assert after["resource"]["updated_at"] > before["resource"]["updated_at"]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ({"op": "replace", "path": "/benchmarks/9/weight", "value": 1}, "doc is missing path: /benchmarks/9/weight"),
        ({"op": "replace", "path": "/benchmarks/9", "value": {}}, "doc is missing key: /benchmarks/9"),
        ({"op": "add", "path": "/custom/a/b", "value": 1}, 'doc is missing path: "/custom/a/b"'),
        ({"op": "remove", "path": "/custom/a/b"}, 'doc is missing path: "/custom/a/b"'),
    ],
)
def test_an_operation_that_does_not_apply_is_told_in_the_contracts_words(
    tenant: Api, operation: dict[str, Any], problem: str
) -> None:
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection())}"
    reply = tenant.call("PATCH", path, [operation])
    assert (reply.status, reply.code) == (400, "invalid_json_request")
    assert f"'{operation['op']} operation does not apply: {problem}: missing value'" in reply.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{"op": "move", "path": "/name"}], "invalid_patch_operation"),
        ([{"path": "/name"}], "invalid_patch_operation"),
        ([{"op": ["add"], "path": "/name"}], "invalid_json_request"),
        ([None], "invalid_patch_operation"),
        ([1], "invalid_json_request"),
        ([{"op": "replace", "path": ""}], "invalid_json_request"),
        ([{"op": "replace", "path": "/resource/id", "value": "x"}], "unallowed_patch"),
        ([{"op": "add", "path": "/agent", "value": {}}], "unallowed_patch"),
        ([{"op": "remove", "path": "/description"}], "invalid_json_request"),
        ([{"op": "replace", "path": "/name", "value": ""}], "request_validation_failed"),
        ([{"op": "replace", "path": "/benchmarks", "value": []}], "request_validation_failed"),
        ([{"op": "replace", "path": "/pinned_order", "value": -1}], "request_validation_failed"),
        *(
            ([{"op": "replace", "path": "/pinned_order", "value": value}], "invalid_json_request")
            for value in ("1", True, [1], 1.5, 2**63)
        ),
        ({"resource": {"id": "x"}}, "unallowed_patch"),
        ("text", "invalid_json_request"),
    ],
)
def test_a_patch_outside_the_rules_changes_nothing(tenant: Api, body: Any, code: str) -> None:
    collection_id = _made(tenant, COLLECTIONS, _collection())
    before = tenant.get(f"{COLLECTIONS}/{collection_id}").body
    reply = tenant.call("PATCH", f"{COLLECTIONS}/{collection_id}", body)
    assert (reply.status, reply.code) == (400, code)
    assert tenant.get(f"{COLLECTIONS}/{collection_id}").body == before


def test_patches_of_both_kinds_apply_in_order(tenant: Api) -> None:
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection(tags=['a']))}"
    operations = [
        {"op": "replace", "path": "/name", "value": "n"},
        {"op": "add", "path": "/tags/-", "value": "b"},
        {"op": "add", "path": "/pinned_order", "value": 2},
        {"op": "replace", "path": "/benchmarks/0/weight", "value": 0},
    ]
    patched = tenant.call("PATCH", path, operations).json
    assert (patched["name"], patched["tags"], patched["pinned_order"]) == ("n", ["a", "b"], 2)
    assert patched["benchmarks"][0]["weight"] == 0
    merged = tenant.call("PATCH", path, {"name": "m", "tags": None}).json
    assert merged["name"] == "m"
    assert "tags" not in merged


def test_a_patch_gives_benchmarks_the_urls_of_their_providers_and_no_other(tenant: Api) -> None:
    offer = {
        "name": "p",
        "benchmarks": [{"id": "b1", "url": "https://one.example"}, {"id": "b2", "url": "https://two.example"}],
    }
    provider = _made(tenant, PROVIDERS, offer)
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection())}"
    own = {"provider_id": provider, "url": "javascript:alert(1)"}

    def urls(*operations: dict[str, Any]) -> list[str | None]:
        reply = tenant.call("PATCH", path, list(operations))
        assert reply.status == 200, reply.text
        assert tenant.get(path).json["benchmarks"] == reply.json["benchmarks"]
        return [benchmark.get("url") for benchmark in reply.json["benchmarks"]]

    listed = [{"id": "b1"} | own, {"id": "b9"} | own, {"id": "b1", "provider_id": "nobody", "url": "x"}]
    assert urls({"op": "replace", "path": "/benchmarks", "value": listed}) == ["https://one.example", None, None]
    replaced = {"op": "replace", "path": "/benchmarks/1", "value": {"id": "b2", "provider_id": provider}}
    assert urls(replaced) == ["https://one.example", "https://two.example", None]
    assert urls({"op": "replace", "path": "/benchmarks/0/url", "value": "y"})[0] == "https://one.example"


def test_the_members_of_an_operation_match_without_regard_to_case(tenant: Api) -> None:
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection())}"
    assert tenant.call("PATCH", path, [{"Op": "replace", "PATH": "/name", "Value": "n"}]).json["name"] == "n"


def test_a_merge_patch_reaches_into_objects_and_removes_what_is_null(tenant: Api) -> None:
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection(custom={'a': {'b': 1, 'c': 2}, 'd': 3}))}"
    merged = tenant.call("PATCH", path, {"custom": {"a": {"b": None, "e": 4}, "d": [1], "f": {"g": None}}, "tags": None})
    assert merged.status == 200, merged.text
    assert merged.json["custom"] == {"a": {"c": 2, "e": 4}, "d": [1], "f": {}}
    assert tenant.call("PATCH", path, [{"op": "merge", "path": "/custom", "value": {}}]).code == "invalid_patch_operation"


def test_the_order_of_curated_collections_is_for_the_catalogue_alone(tenant: Api) -> None:
    made = tenant.post(COLLECTIONS, _collection(curation_order=3)).json
    path = f"{COLLECTIONS}/{made['resource']['id']}"
    assert "curation_order" not in made
    assert "curation_order" not in tenant.call("PUT", path, _collection(curation_order=1)).json
    assert tenant.call("PATCH", path, {"name": "still mine"}).json["name"] == "still mine"
    assert "curation_order" not in tenant.post(f"{path}/clones", {"curation_order": 2}).json


SNAKE = {
    "image": "registry/i:1",
    "entrypoint": ["run"],
    "cpu_request": "500m",
    "memory_request": "1Gi",
    "cpu_limit": "2",
    "memory_limit": "2Gi",
    "env": [{"Name": "A", "Value": "b"}],
}
CAMEL = dict(
    zip(
        ("Image", "Entrypoint", "CPURequest", "MemoryRequest", "CPULimit", "MemoryLimit", "Env"),
        SNAKE.values(),
        strict=True,
    )
)


@pytest.mark.parametrize("spelling", [SNAKE, CAMEL], ids=["as in files", "as in answers"])
def test_a_pod_is_understood_and_shown_in_both_spellings(tenant: Api, spelling: dict[str, Any]) -> None:
    gpu = {"resource": "nvidia.com/gpu", "count": 1, "node_selector": {"zone": "a"}}
    pod = spelling | {"gpu": gpu, "image_pull_policy": "always"}
    path = f"{PROVIDERS}/{_made(tenant, PROVIDERS, {'name': 'p', 'runtime': {'k8s': pod}})}"
    shown = tenant.get(path).json["runtime"]["k8s"]
    assert shown == CAMEL | SNAKE | {"gpu": gpu, "image_pull_policy": "always"}
    for name in ("/runtime/k8s/image", "/runtime/k8s/Image"):
        patched = tenant.call("PATCH", path, [{"op": "replace", "path": name, "value": name}]).json["runtime"]["k8s"]
        assert (patched["image"], patched["Image"]) == (name, name)


def test_what_a_pod_does_not_say_is_empty_and_never_null(tenant: Api) -> None:
    shown = tenant.post(PROVIDERS, {"name": "p", "runtime": {"k8s": {"image": "i"}}}).json["runtime"]["k8s"]
    assert shown["Entrypoint"] == shown["Env"] == []
    assert (shown["CPURequest"], shown["memory_limit"]) == ("", "")
    assert "gpu" not in shown


@pytest.mark.parametrize(
    ("pod", "code"),
    [
        ({"Image": 5}, "invalid_json_request"),
        ({"CPURequest": "much"}, "request_validation_failed"),
        ({"image_pull_policy": "never"}, "request_validation_failed"),
        ({"gpu": {"count": -1}}, "request_validation_failed"),
    ],
)
def test_a_pod_that_could_not_be_made_is_refused(tenant: Api, pod: dict[str, Any], code: str) -> None:
    assert tenant.post(PROVIDERS, {"name": "p", "runtime": {"k8s": pod}}).code == code


def test_an_answer_names_the_members_that_nobody_knows(tenant: Api) -> None:
    reply = tenant.post(COLLECTIONS, _collection(benchmark=[], pass_criteria={"threshold": 1, "treshold": 2}))
    slips = "benchmark (did you mean benchmarks?), pass_criteria.treshold (did you mean threshold?)"
    assert reply.headers["warning"] == f'299 assay "unknown members were ignored: {slips}"'
    assert "warning" not in tenant.post(COLLECTIONS, _collection()).headers
    odd = tenant.post(PROVIDERS, {"name": "p", 'na\r\nme"é': 1})
    assert odd.headers["warning"] == '299 assay "unknown members were ignored: namexe9 (did you mean name?)"'


def test_a_clone_is_ones_own_and_names_its_source(tenant: Api) -> None:
    source = _made(tenant, COLLECTIONS, _collection(description="kept"))
    clone = tenant.post(f"{COLLECTIONS}/{source}/clones", {"name": "copy", "category": ""}).json
    assert (clone["derived_from"], clone["name"], clone["category"], clone["description"]) == (source, "copy", "all", "kept")
    assert clone["status"] == {}
    assert tenant.call("POST", f"{COLLECTIONS}/{source}/clones", b"").status == 201
    assert tenant.post(f"{COLLECTIONS}/nothing/clones", {}).code == "resource_not_found"


def _run(api: Api, job_id: str, index: int, benchmark: str, metrics: dict[str, float]) -> None:
    event = {"provider_id": "scored", "id": benchmark, "benchmark_index": index, "status": "completed", "metrics": metrics}
    reply = api.post(f"{JOBS}/{job_id}/events", {"benchmark_status_event": event})
    assert reply.status == 204, reply.text


def test_a_collection_job_keeps_its_snapshot_when_the_collection_goes(tenant: Api) -> None:
    collection_id = _made(tenant, COLLECTIONS, _collection(pass_criteria={"threshold": 0.9}))
    body = {"name": "j", "model": {"url": "http://m.example/v1", "name": "m"}, "collection": {"id": collection_id}}
    job = tenant.post(JOBS, body).json
    job_id = job["resource"]["id"]
    assert [row["id"] for row in job["status"]["benchmarks"]] == ["judged", "loss"]
    assert job["collection"]["collection_updated_at"]
    assert tenant.get(f"{COLLECTIONS}/{collection_id}").json["status"] == {"run_count": 1}
    assert tenant.get(f"{JOBS}?collection_id={collection_id}").json["total_count"] == 1
    assert tenant.call("DELETE", f"{COLLECTIONS}/{collection_id}").status == 204

    _run(tenant, job_id, 0, "judged", {"acc": 0.8})
    _run(tenant, job_id, 1, "loss", {"l": 1})
    ended = tenant.get(f"{JOBS}/{job_id}").json
    assert ended["status"]["state"] == "completed"
    assert ended["results"]["test"] == {"score": 0.8, "threshold": 0.9, "pass": False}
    assert ended["collection"]["id"] == collection_id


def test_a_collection_job_keeps_its_snapshot_when_the_collection_changes(tenant: Api) -> None:
    path = f"{COLLECTIONS}/{_made(tenant, COLLECTIONS, _collection(pass_criteria={'threshold': 0}))}"
    job = tenant.post(JOBS, job_body(benchmarks=[], collection={"id": path.rpartition("/")[2]})).json
    changed = _collection(benchmarks=[{"id": "loss", "provider_id": "scored"}], pass_criteria={"threshold": 0.9})
    assert tenant.call("PUT", path, changed).status == 200
    assert tenant.call("PATCH", path, {"benchmarks": changed["benchmarks"] * 3}).status == 200

    _run(tenant, job["resource"]["id"], 1, "loss", {"l": 1})
    _run(tenant, job["resource"]["id"], 0, "judged", {"acc": 0.1})
    ended = tenant.get(f"{JOBS}/{job['resource']['id']}").json
    assert ended["collection"] == job["collection"]
    assert [row["id"] for row in ended["results"]["benchmarks"]] == ["judged", "loss"]  # though reported the other way round
    assert ended["results"]["test"] == {"score": 0.1, "threshold": 0, "pass": True}


def test_what_a_provider_says_for_others_to_read_is_kept(tenant: Api) -> None:
    path = f"{PROVIDERS}/{_made(tenant, PROVIDERS, {'name': 'p', 'custom': {'a': 1}})}"
    assert tenant.get(path).json["custom"] == {"a": 1}
    assert tenant.call("PATCH", path, [{"op": "add", "path": "/custom/b", "value": [2]}]).json["custom"] == {
        "a": 1,
        "b": [2],
    }
    assert "custom" not in tenant.call("PATCH", path, [{"op": "remove", "path": "/custom"}]).json


def test_overrides_must_name_what_the_collection_has(tenant: Api) -> None:
    collection_id = _made(tenant, COLLECTIONS, _collection())
    for provider_id, benchmark, kind in (("practice", "arithmetic", "provider"), ("scored", "latency", "benchmark")):
        chosen = {"id": collection_id, "benchmarks": [{"id": benchmark, "provider_id": provider_id}]}
        body = {"name": "j", "model": {"url": "http://m.example/v1", "name": "m"}, "collection": chosen}
        reply = tenant.post(JOBS, body)
        assert (reply.status, reply.code) == (400, "resource_does_not_exist")
        assert kind in reply.message


def test_nobody_may_pose_as_the_system(api: Api, tenant: Api) -> None:
    job_id = tenant.submit("b0")
    system = api.as_(x_tenant=tenant.headers["x-tenant"], x_user="system")
    clones = f"{COLLECTIONS}/practice-v1/clones"
    for path, body in ((PROVIDERS, {"name": "p"}), (COLLECTIONS, _collection()), (clones, {}), (JOBS, job_body())):
        assert system.post(path, body).code == "reserved_user"
    assert system.post(f"{JOBS}/{job_id}/rerun", {"benchmarks": "all"}).code == "reserved_user"
    account = api.as_(x_tenant=tenant.headers["x-tenant"], x_user="system:serviceaccount:ns:runner")
    assert account.post(PROVIDERS, {"name": "p"}).status == 201


def test_the_history_of_a_job_is_paged_in_order(tenant: Api) -> None:
    body = {
        "name": "j",
        "model": {"url": "http://m.example/v1", "name": "m"},
        "benchmarks": [{"id": "judged", "provider_id": "scored"}, {"id": "loss", "provider_id": "scored"}],
    }
    job_id = tenant.post(JOBS, body).json["resource"]["id"]
    assert tenant.call("DELETE", f"{JOBS}/{job_id}/benchmarks/1").status == 204
    _run(tenant, job_id, 0, "judged", {"acc": 0.5})
    types, href = [], f"{JOBS}/{job_id}/history?limit=2"
    while href:
        page = tenant.get(href).json
        types += [event["type"] for event in page["items"]]
        href = page.get("next", {}).get("href", "")
    assert types[:2] == ["job.created", "run.cancelled"]
    assert types[-2:] == ["run.completed", "job.partially_failed"]
    assert "next" not in tenant.get(f"{JOBS}/{job_id}/history").json

    again = tenant.post(f"{JOBS}/{job_id}/rerun", {"benchmarks": "failed"}).json
    assert [row["id"] for row in again["status"]["benchmarks"]] == ["loss"]
    assert again["rerun_of"] == job_id
    slip = tenant.post(f"{JOBS}/{job_id}/rerun", {"benchmark": "failed"})
    assert slip.headers["warning"] == '299 assay "unknown members were ignored: benchmark (did you mean benchmarks?)"'
    whole = tenant.call("POST", f"{JOBS}/{job_id}/rerun", b"").json
    assert [row["id"] for row in whole["status"]["benchmarks"]] == ["judged", "loss"]


def test_results_come_as_csv_that_no_spreadsheet_runs(tenant: Api) -> None:
    benchmarks = [{"id": "judged", "provider_id": "scored"}]
    body = {"name": "=cmd()", "model": {"url": "http://m.example/v1", "name": "m1"}, "benchmarks": benchmarks}
    job_id = tenant.post(JOBS, body).json["resource"]["id"]
    _run(tenant, job_id, 0, "judged", {"acc": 0.5, "acc_stderr": 0.1})
    lines = tenant.get(f"{JOBS}/{job_id}/results.csv").text.splitlines()
    assert lines[1].endswith(",m1,completed,scored,judged,0,completed,acc,0.5,0.1,0.5,true")
    assert ",'=cmd()," in lines[1]
    assert tenant.get("/api/v1/evaluations/results.csv?model=m1").text.splitlines() == lines
    assert len(tenant.get("/api/v1/evaluations/results.csv?model=other").text.splitlines()) == 1
