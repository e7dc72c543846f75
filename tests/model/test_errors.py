"""The error tree: every error has a code of its own, a status and a sentence."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest

from assay.model.errors import AssayError, StoreUnavailable


def tree(kind: type[AssayError] = AssayError) -> Iterator[type[AssayError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == AssayError.__module__:
            yield from tree(child)


ERRORS = list(tree())


def braces(kind: type[AssayError]) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(kind.__doc__ or "") if name}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_says_its_own_code_and_sentence(kind: type[AssayError]) -> None:
    assert "code" in vars(kind)
    assert vars(kind).get("__doc__")
    assert kind.code.replace("_", "").isalnum()
    assert kind.code == kind.code.lower()


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", ERRORS)
def test_the_status_is_one_of_a_failed_request(kind: type[AssayError]) -> None:
    assert 400 <= kind.status <= 599


@pytest.mark.parametrize("kind", ERRORS)
def test_a_retry_is_offered_only_with_a_delay_and_for_what_may_pass(kind: type[AssayError]) -> None:
    assert kind.retry_after is None or (kind.retry_after > 0 and kind.status in (429, 503))


def test_a_store_that_is_away_for_a_while_asks_to_be_tried_again() -> None:
    assert StoreUnavailable.retry_after is not None


@pytest.mark.parametrize("kind", ERRORS)
def test_the_details_fill_every_brace_of_the_sentence(kind: type[AssayError]) -> None:
    names = braces(kind)
    details: dict[str, Any] = {name: f"<{name} {{x}}>" for name in names}
    error = kind(**details)
    for name in names:
        assert f"<{name} {{x}}>" in error.message
    assert str(error) == error.message
    assert error.details == details


@pytest.mark.parametrize("kind", ERRORS)
def test_a_sentence_is_one_line_of_plain_text(kind: type[AssayError]) -> None:
    details: dict[str, Any] = dict.fromkeys(braces(kind), "x")
    message = kind(**details).message
    assert message == message.strip()
    assert "\n" not in message
