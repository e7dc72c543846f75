"""The gate at a running server: rates, bans, addresses, and when a server does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.access.keyed import KEYS, Keyed, first_key, keyed_server
from tests.server.acting import KEY, Worker
from tests.server.client import JOBS, Api, job_body
from tests.server.serving import serving
from tests.server.test_doors import refusal

HEALTH = "/api/v1/health"
WRONG = "Bearer assay_000000000000_" + "0" * 64
OURSELVES: dict[str, Any] = {"ASSAY_TRUSTED_PROXIES": "127.0.0.1"}
"""Lets a test say where it calls from."""


def from_(api: Api, address: str) -> Api:
    """Return the same client at another address, as a trusted proxy tells it."""
    return api.as_(**api.headers, x_forwarded_for=address)


def test_each_key_has_a_rate_for_each_class_and_is_told_where_it_stands(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_RATE_LIMITS="read=0.01/3, list=0.01/1, submit=0.01/2") as keyed:
        ann, bob = keyed.as_("user", tenant="a"), keyed.as_("user", tenant="a")
        replies = [ann.get(f"{JOBS}/nope") for _ in range(4)]
        assert [reply.status for reply in replies] == [404, 404, 404, 429]
        assert [reply.headers["ratelimit"].partition(";t=")[0] for reply in replies] == [
            f'"read";r={left}' for left in (2, 1, 0, 0)
        ]
        assert replies[0].headers["ratelimit-policy"] == '"read";q=3;w=300'
        assert replies[3].code == "rate_limited"
        assert 0 < int(replies[3].headers["retry-after"]) <= 100
        assert [ann.get(JOBS).status, ann.get(JOBS).status] == [200, 429]
        assert [ann.post(JOBS, job_body()).status for _ in range(3)] == [202, 202, 429]
        assert bob.get(JOBS).status == 200


def test_workers_and_health_are_never_limited(tmp_path: Path) -> None:
    tight = ", ".join(f"{cost}=0.01/1" for cost in ("read", "list", "write", "submit", "stream"))
    with keyed_server(tmp_path, ASSAY_RATE_LIMITS=tight) as keyed:
        worker = Worker(keyed.api)
        with_key = keyed.as_("worker")
        for _ in range(3):
            assert worker.beat().status == 200
            beat = {"incarnation": worker.incarnation, "holding": []}
            assert with_key.post(f"/api/v1/workers/{worker.name}/heartbeat", beat).status == 200
            assert keyed.api.get(HEALTH).status == 200
        assert [keyed.api.get("/docs").status for _ in range(2)] == [200, 429]


def test_without_keys_an_address_has_a_rate(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_RATE_LIMITS="list=0.01/1", **OURSELVES) as served:
        here, there = from_(served.api, "203.0.113.1"), from_(served.api, "203.0.113.2")
        assert [here.get(JOBS).status, here.get(JOBS).status, there.get(JOBS).status] == [200, 429, 200]
        lan = [from_(served.api, f"2001:db8::{i}").get(JOBS).status for i in range(2)]
        assert lan == [200, 429]


def test_nothing_is_limited_on_loopback_unless_that_is_asked_for(keyed: Keyed) -> None:
    replies = [keyed.admin.get(JOBS) for _ in range(150)]
    assert {reply.status for reply in replies} == {200}
    assert "ratelimit" not in replies[0].headers


def test_wrong_keys_ban_their_address_and_no_other(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_BAN_AFTER="3", **OURSELVES) as keyed:
        guest = from_(keyed.api.as_(authorization=WRONG), "203.0.113.9")
        replies = [guest.get(JOBS) for _ in range(4)]
        assert [reply.code for reply in replies] == [*["invalid_key"] * 3, "address_banned"]
        assert (replies[3].status, replies[3].headers["retry-after"]) == (429, "60")
        assert from_(keyed.admin, "203.0.113.9").get(JOBS).code == "address_banned"
        assert from_(keyed.admin, "203.0.113.10").get(JOBS).status == 200
        assert from_(keyed.api, "203.0.113.9").get(HEALTH).status == 200
        assert "203.0.113.9 sent too many wrong API keys" in keyed.served.log.read_text()


def test_a_missing_key_and_wrong_keys_of_this_machine_ban_nobody(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_BAN_AFTER="3", **OURSELVES) as keyed:
        for _ in range(6):
            assert from_(keyed.api, "203.0.113.9").get(JOBS).code == "unauthorized"
            assert keyed.api.get(JOBS, authorization=WRONG).code == "invalid_key"
        assert from_(keyed.admin, "203.0.113.9").get(JOBS).status == 200
        assert keyed.admin.get(JOBS).status == 200


def test_nobody_can_say_where_they_come_from_unless_they_are_a_trusted_proxy(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_BAN_AFTER="1", ASSAY_ALLOWED_ADDRESSES="203.0.113.0/24") as keyed:
        assert from_(keyed.admin, "8.8.8.8").get(JOBS).status == 200


def test_only_allowed_addresses_may_call_and_this_machine_always(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_ALLOWED_ADDRESSES="203.0.113.0/24, 2001:db8::/32", **OURSELVES) as keyed:
        for address in ("203.0.113.7", "2001:db8::7"):
            assert from_(keyed.admin, address).get(JOBS).status == 200
        for path in (JOBS, HEALTH, "/docs"):
            reply = from_(keyed.admin, "198.51.100.1").get(path)
            assert (reply.status, reply.code) == (403, "address_not_allowed")
        assert "Requests from 198.51.100.1 are not taken by this server" in reply.message
        assert Worker(keyed.api).beat().status == 200


def test_a_key_may_be_bound_to_addresses(tmp_path: Path) -> None:
    with keyed_server(tmp_path, **OURSELVES) as keyed:
        office = keyed.as_("viewer", addresses=["203.0.113.0/24"])
        assert from_(office, "203.0.113.7").get(JOBS).status == 200
        for api in (office, from_(office, "198.51.100.1")):
            reply = api.get(JOBS)
            assert (reply.status, reply.code) == (403, "address_not_allowed")
            assert "with this API key" in reply.message


def test_a_server_for_others_does_not_start_without_a_key(tmp_path: Path) -> None:
    said = refusal("--data", str(tmp_path / "data"), "--host", "0.0.0.0")
    assert "others can reach this address, and there is no API key yet" in said
    assert "`assay keys create NAME --role admin --all-tenants --offline`" in said
    first_key(tmp_path / "data")
    with serving(tmp_path, "--host", "0.0.0.0") as served:
        assert served.api.get(JOBS).code == "unauthorized"
        assert served.api.get(HEALTH).status == 200


def test_open_access_is_the_way_to_serve_others_without_keys_until_there_is_one(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--open-access") as served:
        reply = served.api.get(JOBS)
        assert reply.status == 200
        assert reply.headers["ratelimit"].startswith('"list";r=59;')
        assert served.api.post(KEYS, {"name": "x", "roles": ["admin"]}).status == 401
    root = first_key(tmp_path / "data")["key"]
    with serving(tmp_path, "--host", "0.0.0.0", "--open-access") as served:
        assert served.api.get(JOBS).status == 401
        assert served.api.get(JOBS, authorization=f"Bearer {root}").status == 200


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("roles: [", "is not YAML"),
        ("viewer: [jobs:read]", "one mapping `roles`"),
        ("roles: {x: jobs:read}", "roles.x must be a list of scopes"),
        ("roles: {x: [jobs:raed]}", "roles.x: 'jobs:raed' is no scope; did you mean jobs:read?"),
        ("roles: {x: ['open']}", "roles.x: 'open' is no scope"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_roles_file_that_is_wrong_ends_the_start(tmp_path: Path, written: str | None, said: str) -> None:
    roles = tmp_path / "roles.yaml"
    if written is not None:
        roles.write_text(written)
    config = tmp_path / "assay.toml"
    config.write_text(f'roles_file = "{roles}"\n')
    shown = refusal("--data", str(tmp_path / "data"), "--config", str(config))
    assert shown.startswith(f"error: roles_file (file {config}")
    assert said in shown


def test_a_role_of_the_file_takes_the_place_of_a_built_in_one_and_a_lost_one_grants_nothing(tmp_path: Path) -> None:
    with keyed_server(tmp_path) as keyed:
        viewer, reporter = keyed.make("viewer")["key"], keyed.make("reporter")["key"]
    roles = tmp_path / "other.yaml"
    roles.write_text("roles: {viewer: [catalogue:*]}")
    with serving(tmp_path, ASSAY_ROLES_FILE=str(roles), ASSAY_WORKER_KEY=KEY) as served:
        as_viewer = served.api.as_(authorization=f"Bearer {viewer}")
        assert as_viewer.get(JOBS).code == "scope_missing"
        assert as_viewer.post("/api/v1/evaluations/providers", {"name": "p"}).status == 201
        assert served.api.get(JOBS, authorization=f"Bearer {reporter}").code == "scope_missing"
