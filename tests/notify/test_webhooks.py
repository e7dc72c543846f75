"""Webhooks are made, changed and deleted by their tenant, and refused where they lead astray."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.notify.conftest import WEBHOOKS, subscribe
from tests.server.client import PATIENCE_S, Api
from tests.server.serving import Served

URL = "http://127.0.0.1:9/hook"


def test_a_webhook_comes_back_as_it_was_made(api: Api) -> None:
    asked = {"events": ["assay.job.*"], "names": ["n"], "tags": ["t"], "secret_ref": "hook", "description": "for CI"}
    made = api.post(WEBHOOKS, {"url": URL, **asked}, x_user="ann").json
    webhook = made["resource"]["id"]
    assert {name: made[name] for name in asked} == asked
    assert (made["url"], made["paused"], made["resource"]["owner"]) == (URL, False, "ann")
    assert api.get(f"{WEBHOOKS}/{webhook}").json == made
    assert api.get(WEBHOOKS).json["items"] == [made]


def test_other_tenants_cannot_see_or_change_it(api: Api) -> None:
    path = f"{WEBHOOKS}/{subscribe(api, URL)}"
    other = api.as_(x_tenant="somebody-else-again")
    assert other.get(WEBHOOKS).json["total_count"] == 0
    answers = [
        other.get(path),
        other.delete(path),
        other.call("PATCH", path, {"paused": True}),
        other.post(f"{path}/test", None),
        other.get(f"{path}/deliveries"),
    ]
    assert [answer.code for answer in answers] == ["resource_not_found"] * 5
    assert api.get(path).status == 200


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://10.0.0.1/", "webhook_refused"),
        ("http://[::1]/", "webhook_refused"),
        ("http://[::ffff:10.0.0.1]/", "webhook_refused"),
        ("http://169.254.169.254/latest/meta-data", "webhook_refused"),
        ("http://0x0a000001/", "webhook_refused"),
        ("http://user:pw@93.184.216.34/", "request_validation_failed"),
        ("ftp://93.184.216.34/", "request_validation_failed"),
        ("file:///etc/passwd", "request_validation_failed"),
        ("http://", "request_validation_failed"),
        ("http://a b/", "request_validation_failed"),
        ("nothing", "request_validation_failed"),
        ("", "request_validation_failed"),
    ],
)
def test_a_url_that_leads_astray_is_refused(api: Api, url: str, code: str) -> None:
    reply = api.post(WEBHOOKS, {"url": url})
    assert (reply.status, reply.code) == (400, code)
    assert "url" in reply.message.lower()
    assert "pw" not in reply.message


def test_a_change_of_the_url_is_checked_as_well(api: Api) -> None:
    path = f"{WEBHOOKS}/{subscribe(api, URL)}"
    assert api.call("PATCH", path, {"url": "http://10.0.0.1/"}).code == "webhook_refused"
    assert api.get(path).json["url"] == URL
    assert api.call("PATCH", path, {"url": "http://127.0.0.2:9/"}).json["url"] == "http://127.0.0.2:9/"


def test_members_are_replaced_or_taken_away_one_by_one(api: Api) -> None:
    path = f"{WEBHOOKS}/{subscribe(api, URL, tags=['a'], names=['n'])}"
    changed = api.call("PATCH", path, {"tags": ["b"], "names": None}).json
    assert (changed["tags"], "names" in changed, changed["url"]) == (["b"], False, URL)
    assert api.call("PATCH", path, {"url": None}).code == "request_validation_failed"
    assert api.call("PATCH", path, []).code == "invalid_json_request"


def patch_around(api: Api, path: str, late: dict[str, Any], early: dict[str, Any]) -> None:
    """Change a webhook by `late`, whose body comes only when `early` has been done."""
    parts, body = urlsplit(api.url), json.dumps(late).encode()
    head = {"Host": parts.netloc, **api.headers, "Content-Length": str(len(body)), "Expect": "100-continue"}
    with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S) as connection:
        lines = [f"PATCH {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        assert api.call("PATCH", path, early).status == 200
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_of_two_changes_at_once_neither_is_lost(api: Api) -> None:
    path = f"{WEBHOOKS}/{subscribe(api, URL, tags=['a'], names=['n'])}"
    patch_around(api, path, {"description": "late", "names": None}, {"paused": True, "tags": ["b"]})
    changed = api.get(path).json
    assert (changed["description"], changed["paused"], changed["tags"]) == ("late", True, ["b"])
    assert "names" not in changed


def test_a_change_does_not_bring_back_an_address_that_it_does_not_name(api: Api) -> None:
    path = f"{WEBHOOKS}/{subscribe(api, URL)}"
    patch_around(api, path, {"secret_ref": "hook"}, {"url": "http://127.0.0.2:9/"})
    changed = api.get(path).json
    assert (changed["url"], changed["secret_ref"]) == ("http://127.0.0.2:9/", "hook")


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("nowhere", "webhook_refused", "cannot be read: put it into a file of that name"),
        ("short", "webhook_refused", "24 to 64 random bytes are needed"),
        ("../hook", "request_validation_failed", "the name of a secret"),
        ("file:///etc", "request_validation_failed", "the name of a secret"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused(api: Api, name: str, code: str, says: str) -> None:
    reply = api.post(WEBHOOKS, {"url": URL, "secret_ref": name})
    assert (reply.status, reply.code) == (400, code)
    assert says in reply.message
    assert "secret_ref" in reply.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": ["assay.job.exploded"]},
        {"events": "assay.job.*"},
        {"events": ["assay.job.*", ""]},
        {"events": [None]},
        {"tags": ["a,b"]},
        {"paused": "yes"},
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert api.post(WEBHOOKS, {"url": URL} | wrong).status == 400
    path = f"{WEBHOOKS}/{subscribe(api, URL)}"
    before = api.get(path).body
    assert api.call("PATCH", path, wrong).status == 400
    assert api.get(path).body == before


def test_of_two_warnings_neither_is_lost(api: Api) -> None:
    reply = api.post(WEBHOOKS, {"url": "https://nowhere.invalid/", "event": ["assay.job.failed"]})
    slip, away = reply.headers["warning"].split(", 299 ")
    assert slip == '299 assay "unknown members were ignored: event (did you mean events?)"'
    assert away == 'assay "the host of url does not resolve at present"'


def test_a_host_that_does_not_resolve_is_told(api: Api) -> None:
    reply = api.post(WEBHOOKS, {"url": "https://nowhere.invalid/"})
    assert (reply.status, reply.headers["warning"]) == (201, '299 assay "the host of url does not resolve at present"')


def test_a_tenant_has_no_more_webhooks_than_it_may(api: Api) -> None:
    for _ in range(100):
        subscribe(api, URL)
    assert api.post(WEBHOOKS, {"url": URL}).code == "too_many_resources"


def test_the_secret_is_kept_nowhere(served: Served, api: Api) -> None:
    subscribe(api, URL, secret_ref="hook")
    api.submit()
    kept = b"".join(file.read_bytes() for file in served.data.glob("assay.db*")) + served.log.read_bytes()
    assert b"canary-of-the-webhooks" not in kept
    assert b"whsec_" not in kept
