"""Every text has a tokenisation, and the tokens spell the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.practice.fitting import practice_language_model
from assay.practice.tokens import END, END_ID, Vocabulary

VOCABULARY = practice_language_model().vocabulary


@given(st.text() | st.text("ab 1\n:<|end>é", max_size=40))
def test_any_text_survives_the_round_trip(text: str) -> None:
    tokens = VOCABULARY.tokenise(text)
    assert VOCABULARY.detokenise(tokens) == text
    assert all(0 <= token < len(VOCABULARY) for token in tokens)


@given(st.lists(st.integers(0, len(VOCABULARY) - 1)))
def test_any_tokens_have_a_text(tokens: list[int]) -> None:
    assert isinstance(VOCABULARY.detokenise(tokens), str)


@given(st.text(max_size=20), st.sampled_from([" honey", " 12", "\nAnswer:"]))
def test_a_continuation_that_begins_with_a_space_keeps_the_tokens_of_its_context(context: str, more: str) -> None:
    whole = VOCABULARY.tokenise(context + more)
    assert whole[: len(VOCABULARY.tokenise(context))] == VOCABULARY.tokenise(context)


def test_known_words_are_single_tokens_and_unknown_ones_are_bytes() -> None:
    vocabulary = Vocabulary([" honey"])
    assert len(vocabulary.tokenise(" honey")) == 1
    assert vocabulary.tokenise(" é") == list(" é".encode())


def test_the_end_mark_is_one_token() -> None:
    assert VOCABULARY.tokenise(f"a{END}b") == [97, END_ID, 98]


def test_no_two_tokens_look_alike() -> None:
    texts = [VOCABULARY.text_of(token) for token in range(len(VOCABULARY))]
    assert len(set(texts)) == len(texts)


def test_an_unknown_id_is_an_error() -> None:
    with pytest.raises(IndexError):
        VOCABULARY.detokenise([len(VOCABULARY)])
