"""Every route, for every role, in one's own and in another's tenant.

What each route needs is written down here a second time, so that a route which is added, or whose scope is changed, must
be looked at by somebody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from assay.model.access import BUILT_IN
from assay.server.routes import Route, Scope
from assay.server.table import ROUTES
from tests.server.access.keyed import KEYS, Keyed
from tests.server.acting import KEY
from tests.server.client import JOBS, PROVIDERS, Api, Reply, unique

NEEDS: dict[str, set[str]] = {
    "open": {"health", "openapi", "docs"},
    "jobs:read": {
        "getJob", "listJobs", "getJobLogs", "getBenchmarkLogs", "getHistory", "exportJob", "exportJobs", "listArtifacts",
        "getArtifact", "streamJob", "stream",
    },
    "jobs:write": {"submitJob", "deleteJob", "rerunJob", "cancelBenchmark"},
    "runs:report": {"reportBenchmark"},
    "catalogue:read": {"listBenchmarks", "listProviders", "getProvider", "listCollections", "getCollection"},
    "catalogue:write": {
        "createProvider", "replaceProvider", "patchProvider", "deleteProvider", "createCollection", "replaceCollection",
        "patchCollection", "deleteCollection", "cloneCollection",
    },
    "queue:read": {"getQueue"},
    "webhooks:manage": {
        "createWebhook", "listWebhooks", "getWebhook", "patchWebhook", "deleteWebhook", "testWebhook", "listDeliveries",
    },
    "workers:read": {"listWorkers", "getWorker"},
    "workers:manage": {"drainWorker", "pauseWorker", "resumeWorker", "forgetWorker"},
    "workers:work": {
        "registerWorker", "leaseRuns", "heartbeat", "startRun", "endRun", "appendLog", "putArtifact", "getBlob",
    },
    "keys:manage": {"createKey", "listKeys", "getKey", "revokeKey"},
    "metrics:read": {"metrics", "usage"},
    "server:manage": {"cleanup"},
}  # fmt: skip
"""The scope of each route, by its name."""

VIEWER = {"jobs:read", "catalogue:read", "queue:read", "workers:read"}
USER = VIEWER | {"jobs:write", "catalogue:write", "webhooks:manage"}
GRANTS: dict[str, set[str]] = {
    "nothing": set(),
    "viewer": VIEWER,
    "user": USER,
    "operator": USER | {"metrics:read", "workers:manage", "tenant:manage"},
    "admin": USER | {"metrics:read", "workers:manage", "tenant:manage", "keys:manage", "server:manage"},
    "worker": {"workers:work", "runs:report"},
}
"""What each role may do."""

OF_ALL = {"workers:work", "workers:manage", "metrics:read", "server:manage"}
"""What only a key of all tenants opens."""
IDS = {"job_id", "provider_id", "collection_id", "key_id", "webhook_id"}
"""Parameters of paths that name what belongs to a tenant."""
OF_WORKERS = {"worker", "run_id"}
"""Those of the workers' routes, which know no tenants."""
PLACES = {"benchmark_index", "name", "worker"}
"""Those that name a part of something else, or what all tenants share."""
TENANT = "team-a"
"""The tenant for which the example of a key asks."""
NOT_ALLOWED = {"scope_missing", "key_mismatch", "key_of_one_tenant", "not_grantable"}


def by_name(route: Route) -> str:
    return route.name


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_a_route_needs_the_scope_that_is_written_down_here(route: Route) -> None:
    needed = [scope for scope, names in NEEDS.items() if route.name in names]
    assert needed == [route.scope.value], f"{route.name}: say in NEEDS which scope it needs, and why it is that one"


def test_nothing_is_written_down_that_is_not_there() -> None:
    assert {name for names in NEEDS.values() for name in names} == {route.name for route in ROUTES}


def test_the_roles_grant_what_is_written_down_here_and_a_new_scope_is_seen() -> None:
    assert {name: set(map(str, scopes)) for name, scopes in BUILT_IN.items()} == {
        name: scopes for name, scopes in GRANTS.items() if name != "nothing"
    }
    assert set().union(*GRANTS.values()) == {scope.value for scope in Scope} - {"open"}


def ask(api: Api, route: Route, ids: dict[str, str], **headers: str) -> Reply:
    """Make a request that the route accepts, about what `ids` names."""
    path = re.sub(r"{(\w+)}", lambda match: ids.get(match[1], "0" if match[1] == "benchmark_index" else "nope"), route.path)
    body = route.example if route.body is not None else None
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call(route.method, path, body if route.example is not None else b"" if body is None else body, sent)


def refused(reply: Reply) -> bool:
    """Say whether it was refused for who asks."""
    return reply.status == 401 or (reply.status == 403 and reply.code in NOT_ALLOWED)


@dataclass(frozen=True)
class Callers:
    """A client for each role, of one tenant and of all."""

    of_tenant: dict[str, Api]
    of_all: dict[str, Api]


@pytest.fixture(scope="session")
def callers(keyed: Keyed) -> Callers:
    return Callers(
        {role: keyed.as_(role, tenant=TENANT) for role in GRANTS if role != "worker"},
        {role: keyed.as_(role) for role in GRANTS},
    )


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_without_a_key_or_with_a_wrong_one_only_open_routes_answer(keyed: Keyed, route: Route) -> None:
    wrong = "assay_000000000000_" + "0" * 64
    for authorization in ("", "Basic YTpi", "Bearer ", "Bearer nonsense", f"Bearer {wrong}"):
        reply = ask(keyed.api, route, {}, **({"authorization": authorization} if authorization else {}))
        if route.scope is Scope.OPEN:
            assert reply.status == 200
            continue
        assert reply.status == 401, authorization
        assert reply.code == ("unauthorized" if authorization in ("", "Basic YTpi", "Bearer ") else "invalid_key")
        assert reply.headers["www-authenticate"].startswith('Bearer realm="assay"')


@pytest.mark.parametrize("role", GRANTS)
@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_a_role_may_what_its_scopes_say_and_nothing_else(callers: Callers, route: Route, role: str) -> None:
    allowed = route.scope is Scope.OPEN or route.scope.value in GRANTS[role]
    for api in (callers.of_tenant.get(role), callers.of_all[role]):
        if api is None:
            continue
        reply = ask(api, route, {})
        too_narrow = allowed and route.scope.value in OF_ALL and api is not callers.of_all[role]
        assert refused(reply) is not (allowed and not too_narrow), reply.text
        if too_narrow:
            assert (reply.status, reply.code) == (403, "key_of_one_tenant")
        if not allowed:
            assert (reply.status, reply.code) == (403, "scope_missing")
            assert route.scope.value in reply.message
    if allowed and route.scope.value not in OF_ALL | {"open"} and role in callers.of_tenant:
        reply = ask(callers.of_tenant[role], route, {}, x_tenant="another")
        assert (reply.status, reply.code) == (403, "key_mismatch")
        assert not refused(ask(callers.of_tenant[role], route, {}, x_tenant=TENANT))
        assert not refused(ask(callers.of_all[role], route, {}, x_tenant="another"))


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope is Scope.WORK], ids=by_name)
def test_the_workers_own_secret_opens_the_workers_routes_and_no_others(keyed: Keyed, route: Route) -> None:
    worker = keyed.api.as_(authorization=f"Bearer {KEY}")
    assert not refused(ask(worker, route, {}))
    for path in (JOBS, PROVIDERS, KEYS, "/metrics", "/api/v1/queue"):
        assert worker.get(path).code == "scope_missing"


@dataclass(frozen=True)
class Estate:
    """What a tenant has."""

    api: Api
    ids: dict[str, str]


def estate(keyed: Keyed, tenant: str) -> Estate:
    """Make one of everything for a tenant."""
    api = keyed.as_("everything", tenant=tenant)
    provider = api.post(PROVIDERS, {"name": "p", "benchmarks": [{"id": "b0"}]})
    collection = {"name": "c", "category": "c", "benchmarks": [{"id": "b0", "provider_id": "manual"}]}
    kept = api.post("/api/v1/evaluations/collections", collection)
    made = api.post(KEYS, {"name": "k", "roles": ["viewer"]})
    hook = api.post("/api/v1/webhooks", {"url": "https://hooks.example/x", "name": "w"})
    ids = {
        "job_id": api.submit(),
        "provider_id": provider.json["resource"]["id"],
        "collection_id": kept.json["resource"]["id"],
        "key_id": made.json["id"],
        "webhook_id": hook.json["resource"]["id"],
    }
    return Estate(api, ids)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope.value not in OF_ALL | {"open"}], ids=by_name)
def test_what_belongs_to_another_tenant_is_not_there(keyed: Keyed, route: Route) -> None:
    theirs, mine = estate(keyed, unique("t")), estate(keyed, unique("t"))
    named = set(re.findall(r"{(\w+)}", route.path))
    assert named <= IDS | PLACES, f"{route.name}: say in IDS whether a tenant owns what is named, and make one in estate()"
    if named & IDS:
        reply = ask(mine.api, route, theirs.ids)
        assert (reply.status, reply.code) == (404, "resource_not_found"), reply.text
        assert [theirs.ids[name] for name in named & IDS if theirs.ids[name] in reply.message], reply.message
        own = ask(mine.api, route, mine.ids)
        assert own.status < 400 or not [name for name in named & IDS if mine.ids[name] in own.message], own.message
    elif "worker" in named:
        assert ask(mine.api, route, {}).code == "resource_not_found"
    else:
        reply = ask(mine.api, route, {})
        assert reply.status < 300 or route.name in ("submitJob", "createKey"), reply.text
        assert not [id_ for id_ in theirs.ids.values() if id_ in reply.text]
        whole = {"listJobs": "job_id", "exportJobs": "job_id", "listProviders": "provider_id", "listKeys": "key_id"}
        if route.name in whole:
            assert mine.ids[whole[route.name]] in reply.text
    keyed_for_all = keyed.as_("everything")
    if named & IDS and route.method == "GET" and not named & PLACES:
        assert ask(keyed_for_all, route, theirs.ids, x_tenant=tenant_of(keyed, theirs)).status == 200


def tenant_of(keyed: Keyed, of: Estate) -> str:
    found: Any = keyed.admin.get(f"{KEYS}/{of.ids['key_id']}").json
    return str(found["tenant"])
