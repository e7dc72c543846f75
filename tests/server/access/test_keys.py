"""API keys at a running server: what they are, what ends them, who may make which."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from assay.model.protocol import PROTOCOL
from tests.evalhub.live import until
from tests.postgres import Cluster
from tests.server.access.keyed import KEYS, Keyed, first_key, keyed_server
from tests.server.client import JOBS, PROVIDERS, Api, unique
from tests.server.serving import serving

FORM = re.compile(r"assay_([0-9a-f]{12})_[0-9a-f]{64}")


def with_key(api: Api, key: str) -> Api:
    return api.as_(authorization=f"Bearer {key}")


def test_a_key_is_shown_once_and_never_again(keyed: Keyed) -> None:
    reply = keyed.admin.post(KEYS, {"name": "ann", "roles": ["user"], "tenant": "a"})
    made = reply.json
    match = FORM.fullmatch(made["key"])
    assert match is not None
    assert (match[1], made["user"], made["state"]) == (made["id"], "ann", "active")
    assert reply.headers["cache-control"] == "no-store"
    for path in (f"{KEYS}/{made['id']}", f"{KEYS}?limit=0"):
        text = keyed.admin.get(path).text
        assert made["id"] in text
        assert made["key"].rpartition("_")[2] not in text
        assert hashlib.sha256(made["key"].encode()).hexdigest() not in text


def test_a_misspelt_member_of_a_request_for_a_key_is_told(keyed: Keyed) -> None:
    reply = keyed.admin.post(KEYS, {"name": "ann", "roles": ["user"], "tenant": "a", "expires_in_second": 5})
    meant = "expires_in_second (did you mean expires_in_seconds?)"
    assert reply.headers["warning"] == f'299 assay "unknown members were ignored: {meant}"'
    assert reply.headers["cache-control"] == "no-store"


def test_keys_are_not_alike(keyed: Keyed) -> None:
    keys = [keyed.make("viewer")["key"] for _ in range(20)]
    assert len({key[6:18] for key in keys}) == len({key[19:] for key in keys}) == 20


def test_a_revoked_key_ends_at_once(keyed: Keyed) -> None:
    made = keyed.make("viewer", tenant="a")
    api = with_key(keyed.api, made["key"])
    for _ in range(3):
        assert api.get(JOBS).status == 200
    assert keyed.admin.delete(f"{KEYS}/{made['id']}").status == 204
    reply = api.get(JOBS)
    assert (reply.status, reply.code) == (401, "invalid_key")
    assert "it was revoked" in reply.message
    assert reply.headers["www-authenticate"] == 'Bearer realm="assay", error="invalid_token"'
    assert keyed.admin.delete(f"{KEYS}/{made['id']}").status == 204
    assert keyed.admin.get(f"{KEYS}/{made['id']}").json["state"] == "revoked"


def test_a_key_ends_when_its_time_is_over(keyed: Keyed) -> None:
    made = keyed.make("viewer", expires_in_seconds=1)
    api = with_key(keyed.api, made["key"])
    refused = until(lambda: (reply := api.get(JOBS)).status == 401 and reply, "the end of the key")
    assert "it has expired" in refused.message
    assert keyed.admin.get(f"{KEYS}/{made['id']}").json["state"] == "expired"


def test_a_secret_that_is_wrong_by_one_digit_is_not_right(keyed: Keyed) -> None:
    key = keyed.make("viewer")["key"]
    assert with_key(keyed.api, key).get(JOBS).status == 200
    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), key + "0", key[:-1], key.upper(), f"{key} x"):
        reply = with_key(keyed.api, wrong).get(JOBS)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert wrong[19:] not in reply.text


def test_what_a_key_makes_belongs_to_its_user_and_tenant_whatever_headers_say(keyed: Keyed) -> None:
    ann = keyed.as_("user", tenant="a", user="ann")
    job = ann.job(ann.submit())
    assert (job["resource"]["tenant"], job["resource"]["owner"]) == ("a", "ann")
    for headers, what in (({"x_tenant": "b"}, "the tenant 'a'"), ({"x_user": "bob"}, "the user 'ann'")):
        reply = ann.get(JOBS, **headers)
        assert (reply.status, reply.code) == (403, "key_mismatch")
        assert what in reply.message
    assert ann.get(JOBS, x_tenant="a", x_user="ann").status == 200


def test_a_key_of_all_tenants_works_for_the_one_that_is_named(keyed: Keyed) -> None:
    tenant = unique("t")
    operator = keyed.as_("operator", user="op")
    made = operator.as_(authorization=operator.headers["authorization"], x_tenant=tenant)
    job_id = made.submit()
    assert made.job(job_id)["resource"]["owner"] == "op"
    assert operator.get(f"{JOBS}/{job_id}").status == 404
    assert keyed.as_("viewer", tenant=tenant).get(f"{JOBS}/{job_id}").status == 200


def test_a_key_that_speaks_for_many_takes_the_user_from_the_header(keyed: Keyed) -> None:
    proxy = keyed.as_("user", tenant="a", user="*")
    proxy.headers["x-user"] = "eve"
    assert proxy.job(proxy.submit())["resource"]["owner"] == "eve"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "", "roles": ["user"]}, "name"),
        ({"name": "x"}, "roles"),
        ({"name": "x", "roles": []}, "roles"),
        ({"name": "x", "roles": ["usr"]}, "roles[0]: 'usr' is no role here. There are: admin, "),
        ({"name": "x", "roles": ["user", "user"]}, "roles names 'user' twice"),
        ({"name": "x", "roles": ["user"], "addresses": ["10.0.0.1/8"]}, "addresses[0]: '10.0.0.1/8' is neither"),
        ({"name": "x", "roles": ["user"], "expires_in_seconds": 0}, "expires_in_seconds"),
        ({"name": "x\n", "roles": ["user"]}, "name must be ASCII"),
        ({"name": "x", "roles": ["user"], "tenant": "ü"}, "tenant must be ASCII"),
        ({"name": "x", "roles": ["user"], "user": "system"}, "reserved"),
        ({"name": "x", "roles": ["worker"], "tenant": "a"}, "a worker carries out the runs of all tenants"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(keyed: Keyed, body: dict[str, object], said: str) -> None:
    reply = keyed.admin.post(KEYS, body)
    assert reply.status == 400
    assert said in reply.message


def test_nobody_gives_away_more_than_they_have(keyed: Keyed) -> None:
    tenant = unique("t")
    local = keyed.as_("admin", tenant=tenant)
    for body, field in (
        ({"roles": ["admin"], "tenant": "*"}, "tenant"),
        ({"roles": ["viewer"], "tenant": "another"}, "tenant"),
        ({"roles": ["reporter"]}, "roles"),
        ({"roles": ["viewer"], "user": "*"}, "user"),
    ):
        reply = local.post(KEYS, {"name": "x"} | body)
        assert (reply.status, reply.code) == (403, "not_grantable"), body
        assert reply.message.startswith(field)
    made = local.post(KEYS, {"name": "x", "roles": ["admin"]})
    assert (made.status, made.json["tenant"]) == (201, tenant)
    assert {key["tenant"] for key in local.get(KEYS).json["items"]} == {tenant}


def test_a_worker_of_one_tenant_is_refused_even_where_a_role_was_changed_later(keyed: Keyed) -> None:
    reply = keyed.admin.post(KEYS, {"name": "x", "roles": ["hybrid"], "tenant": "a"})
    assert reply.status == 400
    worker = keyed.as_("hybrid")
    body = {"name": unique(), "incarnation": "i", "slots": 1, "engines": {}, "protocol": PROTOCOL}
    assert worker.post("/api/v1/workers", body).status == 200
    assert worker.get(JOBS).status == 200


def test_the_owner_rule_takes_the_user_from_the_key_and_an_operator_may_do_more(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_OWNER_POLICY="owner_or_admin", ASSAY_LOCAL_CODE="admins") as keyed:
        ann, bob = (keyed.as_("user", tenant="a", user=name) for name in ("ann", "bob"))
        operator = keyed.as_("operator", tenant="a")
        jobs = [ann.submit() for _ in range(2)]
        assert bob.delete(f"{JOBS}/{jobs[0]}").code == "not_owner"
        assert [operator.delete(f"{JOBS}/{jobs[0]}").status, ann.delete(f"{JOBS}/{jobs[1]}").status] == [204, 204]
        command = {"name": "p", "benchmarks": [{"id": "b"}], "runtime": {"local": {"command": "true"}}}
        assert ann.post(PROVIDERS, command).code == "local_code_refused"
        assert operator.post(PROVIDERS, command).status == 201


def test_when_a_key_was_used_is_written_down_later_and_not_with_every_request(tmp_path: Path) -> None:
    with keyed_server(tmp_path) as keyed:
        made = keyed.make("viewer")
        for _ in range(5):
            assert with_key(keyed.api, made["key"]).get(JOBS).status == 200
        assert "last_used_at" not in keyed.admin.get(f"{KEYS}/{made['id']}").json
    with serving(tmp_path) as again:
        assert "last_used_at" in with_key(again.api, keyed.root).get(f"{KEYS}/{made['id']}").json


def test_a_key_that_was_revoked_or_made_at_one_server_is_so_at_the_other(postgres: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with (
        postgres.database() as url,
        keyed_server(tmp_path, ASSAY_DATABASE=url) as keyed,
        serving(other, ASSAY_DATABASE=url) as second,
    ):
        made = keyed.make("viewer")
        there = with_key(second.api, made["key"])
        assert there.get(JOBS).status == 200
        assert keyed.admin.delete(f"{KEYS}/{made['id']}").status == 204
        assert with_key(keyed.api, made["key"]).get(JOBS).status == 401
        assert until(lambda: there.get(JOBS).status == 401, "the other server to look again")
        assert second.api.get(JOBS).status == 401


def test_a_database_without_a_server_gets_keys_and_one_with_a_server_says_what_to_do(keyed: Keyed) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        first_key(keyed.served.data)
    assert "another Assay server is using it" in str(caught.value.stderr)


def test_without_a_key_in_the_store_nothing_is_asked_for_but_keys_cannot_be_made(api: Api) -> None:
    assert api.get(JOBS, authorization="Bearer whatever-a-proxy-wants").status == 200
    assert api.get("/metrics").status == 200
    reply = api.post(KEYS, {"name": "x", "roles": ["admin"]})
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert "`assay keys create NAME --role admin --all-tenants --offline`" in reply.message
    lost = api.get(JOBS, authorization="Bearer assay_000000000000_" + "0" * 64)
    assert (lost.status, lost.code) == (401, "invalid_key")


def test_keys_can_be_required_before_there_is_one(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_REQUIRE_KEYS="yes") as served:
        assert served.api.get(JOBS).code == "unauthorized"
        assert served.api.get("/api/v1/health").status == 200
        assert served.api.get("/docs").status == 200
        assert "keys are required, and there is none" in served.log.read_text()
