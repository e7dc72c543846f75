"""The rules of single values: times, commits, tags, addresses to clone from."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from assay.model.shapes import read
from assay.model.submission import JOB, absolute_url, public_git_url, resolved_sha, rfc3339, tag_name


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-12-31T23:59:59.999999999-11:30",
        "2024-02-29T12:00:00+14:00",
        "1985-04-12t23:20:50.52z",
        "1937-01-01T12:00:27.87+00:20",
    ],
)
def test_a_time_of_rfc_3339_is_taken(text: str) -> None:
    assert rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        " 2026-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "26-01-01T00:00:00Z",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
def test_a_time_that_clients_cannot_parse_is_refused(text: str) -> None:
    assert not rfc3339(text)


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_every_time_that_python_writes_is_taken(moment: datetime.datetime) -> None:
    assert rfc3339(moment.isoformat())


@pytest.mark.parametrize("value", ["abcdef1", "A" * 40])
def test_seven_to_forty_hexadecimal_digits_are_a_commit(value: str) -> None:
    assert resolved_sha(value)


@pytest.mark.parametrize("value", ["abcdef", "a" * 41, "abcdefg", "abcdef1\n", "", None, 1234567])
def test_anything_else_is_no_commit(value: object) -> None:
    assert not resolved_sha(value)


@pytest.mark.parametrize(
    ("value", "good"), [("a", True), ("x" * 128, True), ("", False), ("x" * 129, False), ("a,b", False), ("a|b", False)]
)
def test_a_tag_is_short_and_free_of_the_signs_of_filters(value: str, good: bool) -> None:
    assert tag_name(value) is good


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/r.git",
        "http://example.com:8080/r.git",
        "https://8.8.8.8/r.git",
        "https://[2606:4700::1111]/r.git",
        "https://3scale.example/r.git",
        "https://localhost.example/r.git",
    ],
)
def test_a_public_host_may_be_cloned_from(url: str) -> None:
    assert public_git_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "localhost.localdomain",
        "metadata",
        "metadata.google.internal",
        "x.cluster.local",
        "x.ns.svc",
        "printer.local",
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.1.1",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[::ffff:0:a9fe:a9fe]",
        "[v1.x]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "１２７.0.0.1",
        "u:p@example.com",
        "u@example.com",
        "",
    ],
)
def test_an_inner_host_may_not_be_cloned_from(host: str) -> None:
    assert not public_git_url(f"https://{host}/r.git")


@pytest.mark.parametrize(
    "url", ["ftp://example.com/r", "example.com/r", "https://exa\nmple.com/r", "https://example.com/r ", "https:///r"]
)
def test_what_is_no_plain_web_address_may_not_be_cloned_from(url: str) -> None:
    assert not public_git_url(url)


BLANK_TO_ECMASCRIPT = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""What `\\s` stands for in the regular expressions of JSON Schema (ECMA-262, 12.2 and 12.3)."""


def in_python(pattern: str) -> re.Pattern[str]:
    """Return a regular expression of JSON Schema as one of Python's that matches the same."""
    blank = re.escape(BLANK_TO_ECMASCRIPT)
    words = pattern.replace(r"[\s\S]", "<any>").replace(r"\S", f"[^{blank}]").replace(r"\s", blank)
    return re.compile(words.replace("<any>", r"[\s\S]"))


def test_what_is_described_as_filled_is_never_refused_as_blank() -> None:
    pattern = in_python(JOB.schema()["properties"]["model"]["properties"]["name"]["pattern"])
    body = {"name": "j", "benchmarks": [{"id": "b", "provider_id": "p"}]}
    for character in map(chr, range(1, 0x3001)):
        if pattern.match(character):
            read(JOB, "EvaluationJobConfig", {**body, "model": {"url": "http://h", "name": character}})
    assert not pattern.match(" \x1d\x85")
    assert pattern.match(" x")


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(("url", "right"), [("", True), ("http://h/v1", True), ("no url", False)])
def test_the_url_of_a_model_may_be_described_as_empty(url: str, right: bool, written: bool) -> None:
    described = JOB.schema(written=written)["properties"]["model"]["properties"]["url"]
    formats = FormatChecker()
    formats.checks("uri")(lambda value: not isinstance(value, str) or absolute_url(value))
    validator = Draft202012Validator(described, format_checker=formats)
    assert validator.is_valid(url) is right
