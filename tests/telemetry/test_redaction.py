"""Redaction: no secret survives, ordinary text does, and chunking never matters."""

import base64
import json
import re
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.telemetry.redaction import Redactor
from assay.telemetry.secret_forms import secret_forms
from assay.telemetry.secret_patterns import MAX_MATCH

SECRET = 'k/ey+"with odd\\chars=='

ORDINARY = [
    "tokens: 12",
    "max_tokens=16",
    "the tokenizer has 50257 tokens",
    '"secret_ref": "openai-production"',
    '{"token": " Paris", "logprob": -0.25}',
    '{"token": "internationalization"}',
    '{"eos_token": "</s>", "pad_token_id": 5}',
    "token: 12345678901234567890",
    "api_key=None, auth_token=null",
    "git clone ssh://git@example.org/repo",
    "http://127.0.0.1:8000/v1?user=a:b@c",
    "the secret: be kind to everybody in 2026",
    "password: think of a long one",
    "risk-averse-people, task-description-12",
    "bearer responsibilities",
    "sk-learn",
]

CREDENTIALS = [
    ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
    ("{'Authorization': 'Bearer abc123', 'n': 1}", "{'Authorization': 'Bearer [redacted]', 'n': 1}"),
    ('{\\"authorization\\": \\"Basic dXNlcg==\\"}', '{\\"authorization\\": \\"Basic [redacted]\\"}'),
    ("Proxy-Authorization: Negotiate YII", "Proxy-Authorization: Negotiate [redacted]"),
    ("x-api-key: 1234", "x-api-key: [redacted]"),
    ("OPENAI_API_KEY=zzz", "OPENAI_API_KEY=[redacted]"),
    ("AWS_SECRET_ACCESS_KEY=abc/def+1", "AWS_SECRET_ACCESS_KEY=[redacted]"),
    ("HF_TOKEN=hf123", "HF_TOKEN=[redacted]"),
    ("auth_token=abc,base_url=http://h/v1", "auth_token=[redacted],base_url=http://h/v1"),
    ("http://h/v1?api-key=abc&api-version=1", "http://h/v1?api-key=[redacted]&api-version=1"),
    ("key is sk-proj-abcdefgh.", "key is [redacted]."),
    ("http://user:pa55@host/x", "http://user:[redacted]@host/x"),
    ("https://ghx0123456789abcdef0@host/x", "https://[redacted]@host/x"),
    ('{"password": "hunter2"}', '{"password": "[redacted]"}'),
    ("token=abcd1234efgh5678ijkl", "token=[redacted]"),
    ("Bearer abc12345", "Bearer [redacted]"),
    ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "jwt [redacted] end"),
    ("ghp_0123456789abcdefghij", "[redacted]"),
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor(["another-secret"]).text(text) == text


@pytest.mark.parametrize(("text", "masked"), CREDENTIALS)
def test_what_looks_like_a_credential_is_masked(text: str, masked: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == masked
    assert redactor.text(masked) == masked


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), quote(SECRET, safe="")),
        json.dumps(SECRET),
        json.dumps(json.dumps({"key": SECRET})),
        repr(SECRET),
    ],
)
def test_a_known_secret_is_masked_in_every_spelling(spelling: str) -> None:
    masked = Redactor([SECRET]).text(f"before {spelling} after")
    assert "[redacted]" in masked
    assert "odd" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("prefix", [b"", b"u", b"us", b"use", b"user:"])
@pytest.mark.parametrize("suffix", [b"", b"@", b"@h", b"@ho"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_known_secret_is_masked_inside_base64_at_any_alignment(prefix, suffix, encode) -> None:  # type: ignore[no-untyped-def]
    secret = b"s3cr>t?value~~"
    masked = Redactor([secret.decode()]).bytes(encode(prefix + secret + suffix))
    assert b"[redacted]" in masked
    assert len(masked.replace(b"[redacted]", b"")) <= 4 * (len(prefix) // 3 + len(suffix) // 3 + 2)


def test_a_pattern_does_not_cut_a_known_secret_in_two() -> None:
    assert Redactor(["first,second part"]).text("api_key=first,second part!") == "api_key=[redacted]"


def test_short_placeholders_are_no_secrets() -> None:
    assert Redactor(["EMPTY", "", "  "]).text("EMPTY string, none") == "EMPTY string, none"


def test_a_secret_with_line_breaks_is_masked_in_a_stream() -> None:
    secret = "-----BEGIN KEY-----\nabcd\nefgh\n-----END KEY-----"
    stream = Redactor([secret]).stream()
    pieces = [stream.feed(f"{part}\n".encode()) for part in f"x\n{secret}".split("\n")]
    assert b"".join(pieces) + stream.flush() == b"x\n[redacted]\n"


def test_a_secret_added_later_is_masked_in_an_open_stream() -> None:
    redactor = Redactor()
    stream = redactor.stream()
    first = stream.feed(b"later-secret\n")
    redactor.add("later-secret")
    assert first + stream.feed(b"later-secret\n") == b"later-secret\n[redacted]\n"


def test_a_literal_stream_holds_back_nothing_that_cannot_be_a_secret() -> None:
    stream = Redactor(["canary-secret"], patterns=False).stream()
    assert stream.feed(b'data: {"x": 1}') == b'data: {"x": 1}'
    assert stream.feed(b" can") == b" "
    assert stream.feed(b"dle") == b"candle"


def test_a_line_without_end_is_emitted_in_bounded_pieces() -> None:
    stream = Redactor(["canary-secret"]).stream()
    fed = emitted = 0
    for _ in range(200):
        fed += 1024
        emitted += len(stream.feed(b"x" * 1024))
        assert fed - emitted <= 64 * 1024 + MAX_MATCH
    assert emitted + len(stream.flush()) == fed


SECRETS = st.lists(st.text(alphabet='abAB1+/%"\\ é\n', min_size=6, max_size=12), min_size=1, max_size=3)
FILLER = st.one_of(
    st.text(alphabet='abAB1+/%"\\ é\n=', max_size=12),
    st.sampled_from([text for text, _ in CREDENTIALS] + ORDINARY + ["\n", "\r", "api_key=", "://u:"]),
)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[list[str], bytes]:
    secrets = draw(SECRETS)
    forms = [form.decode() for secret in secrets for form in secret_forms(secret)]
    pieces = draw(st.lists(st.one_of(FILLER, st.sampled_from(forms or ["x"])), max_size=12))
    return secrets, "".join(pieces).encode()


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(outputs(), st.lists(st.integers(0, 400), max_size=40), st.booleans())
@settings(max_examples=400, deadline=None)
def test_chunking_never_changes_the_output_and_no_secret_survives(
    output: tuple[list[str], bytes], cuts: list[int], patterns: bool
) -> None:
    secrets, data = output
    redactor = Redactor(secrets, patterns=patterns)
    stream = redactor.stream()
    streamed = b"".join([stream.feed(chunk) for chunk in chunks(data, cuts)]) + stream.flush()
    assert streamed == redactor.bytes(data)
    for secret in secrets:
        for form in secret_forms(secret):
            assert form not in streamed


@given(st.integers(0, 120_000), st.lists(st.integers(0, 160_000), max_size=8))
@settings(max_examples=40, deadline=None)
def test_chunking_never_changes_a_very_long_line(offset: int, cuts: list[int]) -> None:
    line = b"x" * offset + b" Authorization: Bearer abc " + b"y " * 20_000 + b"http://u:p@h sk-12345678\nend"
    stream = Redactor().stream()
    streamed = b"".join([stream.feed(chunk) for chunk in chunks(line, cuts)]) + stream.flush()
    assert streamed == Redactor().bytes(line)
    assert b"abc" not in streamed


@given(st.text(), st.text(min_size=6))
def test_any_text_can_be_masked(text: str, secret: str) -> None:
    masked = Redactor([secret]).text(text + secret)
    assert secret.strip() not in masked or len(secret.strip()) < 6 or secret in "[redacted]"
