"""What surrounds every request: its id, its body, its query."""

from __future__ import annotations

import json
import re
import socket
import uuid
from urllib.parse import urlsplit

import pytest

from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique

REQUEST_ID = "x-global-transaction-id"
_LIMIT = 10 << 20


def test_a_request_id_is_echoed_and_is_the_trace_of_an_error(api: Api) -> None:
    reply = api.get(f"{JOBS}/nope", x_global_transaction_id="my-req-1")
    assert reply.headers[REQUEST_ID] == "my-req-1"
    assert reply.json["trace"] == "my-req-1"


def test_a_request_without_an_id_gets_a_new_uuid(api: Api) -> None:
    first, second = (api.get("/api/v1/health").headers[REQUEST_ID] for _ in range(2))
    assert str(uuid.UUID(first)) == first
    assert first != second


@pytest.mark.parametrize("given", ["", "x" * 129, "a\tb", "ü"])
def test_an_id_that_no_log_should_carry_is_replaced(api: Api, given: str) -> None:
    assert uuid.UUID(api.get("/api/v1/health", x_global_transaction_id=given).headers[REQUEST_ID])


def test_an_error_has_a_code_a_sentence_and_its_request(api: Api) -> None:
    reply = api.get(f"{JOBS}/nope")
    assert set(reply.json) == {"message_code", "message", "trace", "detail"}
    assert reply.json["detail"] == reply.json["message"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"] == "application/json"


def test_json_is_compact_ends_with_a_newline_and_may_stand_in_a_page(api: Api) -> None:
    name = "<b>&amp;</b>" + unique()
    reply = api.post(JOBS, job_body(name=name, custom={"<k>": "a&b"}))
    assert reply.body.endswith(b"}\n")
    assert b"\n" not in reply.body[:-1]
    assert b'": ' not in reply.body
    assert not {b"<", b">", b"&"} & {bytes([byte]) for byte in reply.body}
    assert reply.json["name"] == name
    assert api.get(f"{JOBS}/{reply.json['resource']['id']}").json["custom"] == {"<k>": "a&b"}
    listed = api.get(JOBS + "?limit=5").body
    assert not {b"<", b">", b"&"} & {bytes([byte]) for byte in listed}


def test_a_body_over_the_limit_is_a_413(api: Api) -> None:
    body = json.dumps(job_body(custom={"x": "a" * _LIMIT})).encode()
    reply = api.post(JOBS, body)
    assert (reply.status, reply.code) == (413, "request_body_too_large")
    assert reply.message == f"The request body exceeds the maximum allowed size of {_LIMIT} bytes."
    assert api.get("/api/v1/health").status == 200


def test_a_body_over_the_limit_is_refused_before_it_has_been_sent(api: Api) -> None:
    reply = api.raw(b"POST " + JOBS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{")
    assert reply.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("size", "end"), [(_LIMIT + 1, b"0\r\n\r\n"), (5 * _LIMIT, b"")], ids=["finished", "endless"])
def test_a_chunked_body_is_bounded_too(api: Api, size: int, end: bytes) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST " + JOBS.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert api.raw(head, *[chunk] * (size // 0x10000 + 1), end).startswith(b"HTTP/1.1 413 ")


def test_a_body_just_under_the_limit_is_taken(api: Api) -> None:
    body = json.dumps(job_body(custom={"x": ""})).encode()
    padding = b"a" * (_LIMIT - len(body))
    assert api.post(JOBS, body.replace(b'"x": ""', b'"x": "' + padding + b'"')).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \n",
        b"{",
        b'{"name":',
        b"{} x",
        b"{'a':1}",
        b"nul",
        b"\xff\xfe",
        b'{"name":"\xff"}',
        b"{]",
        b"\x00",
        b'{"a":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999999}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"name":"\\ud800"}',
        b"[" * 100_000,
        b'{"custom":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    ],
)
def test_what_is_no_json_is_a_400(api: Api, body: bytes) -> None:
    for path in (JOBS, f"{JOBS}/x/events"):
        reply = api.post(path, body)
        assert (reply.status, reply.code) == (400, "invalid_json_request"), body[:40]
        assert reply.message.startswith("The request JSON is invalid: '")
        assert reply.message.endswith("'. Please check the request and try again.")
        assert len(reply.message) < 1_000


def test_an_empty_body_says_so(api: Api) -> None:
    assert "unexpected end of JSON input" in api.post(JOBS, b"").message


def test_no_error_shows_what_the_server_is_made_of(api: Api) -> None:
    bodies = [b"{", b"[]", b'{"name":5}', b'{"model":"m"}', b'{"benchmarks":{}}', b'{"tags":"a"}']
    for body in bodies:
        assert not re.search(r"msgspec|Traceback|File \"|SELECT|sqlite|assay\.|\.py", api.post(JOBS, body).message)


def test_the_content_type_of_a_body_does_not_matter(api: Api) -> None:
    for given in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        assert api.post(JOBS, job_body(), content_type=given).status == 202
    assert api.get(PROVIDERS, accept="text/html").headers["content-type"] == "application/json"


@pytest.mark.parametrize("query", ["?x=1", "?limit=zzz", "?%ff=%00", "?" + "a" * 5_000])
def test_reading_one_thing_takes_no_notice_of_a_query(api: Api, query: str) -> None:
    assert api.get(f"{PROVIDERS}/manual{query}").status == 200
    assert api.get(f"{JOBS}/{api.submit()}{query}").status == 200


def test_a_very_long_address_or_header_harms_nobody(api: Api) -> None:
    assert api.get(f"{JOBS}/{'x' * 20_000}").status in (404, 414)
    assert api.get(PROVIDERS, x_tenant="t" * 20_000).status in (400, 431)
    assert api.get("/api/v1/health").status == 200


def test_a_client_that_goes_away_in_the_middle_of_its_body_harms_nobody(api: Api) -> None:
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), 10) as connection:
        connection.sendall(b"POST " + JOBS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert api.get("/api/v1/health").status == 200
