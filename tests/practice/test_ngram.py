"""The n-gram model gives real probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.practice.fitting import LanguageModel, fit
from assay.practice.ngram import NGramModel

ENDS = 3


def letters(text: str) -> list[int]:
    return ["abc".index(letter) for letter in text]


def test_a_bigram_model_follows_the_witten_bell_formula() -> None:
    model = NGramModel([letters("ab"), letters("ab"), letters("ac")], size=4, order=2, end=ENDS)
    after_a = model.advance(model.start, 0)
    # a, b, b, c and 3 ends follow something: 9 tokens of 4 kinds over a uniform floor of 1/4
    unigram_b = (2 + 4 * (1 / 4)) / (9 + 4)
    assert model.probability(model.start, 1) == pytest.approx(unigram_b)
    # after a: b twice, c once
    assert model.probability(after_a, 1) == pytest.approx((2 + 2 * unigram_b) / (3 + 2))
    assert model.best(after_a) == 1


def test_a_token_that_was_never_read_has_a_small_probability_and_not_none() -> None:
    model = NGramModel([letters("ab")], size=4, order=3, end=ENDS)
    assert 0 < model.probability(model.start, 2) < model.probability(model.start, 1)


@given(documents=st.lists(st.text("abc", max_size=12), max_size=8), context=st.text("abc", max_size=12))
def test_every_distribution_sums_to_one_and_agrees_with_single_probabilities(documents: list[str], context: str) -> None:
    model = NGramModel([letters(document) for document in documents], size=4, order=4, end=ENDS)
    state = model.state_after([ENDS, *letters(context)])
    distribution = model.distribution(state)
    assert math.fsum(distribution) == pytest.approx(1)
    assert distribution == [model.probability(state, token) for token in range(4)]
    assert model.best(state) == max(range(4), key=lambda token: (distribution[token], -token))
    best_first = sorted(range(4), key=lambda token: (-distribution[token], token))
    assert model.top(state, 3) == [(token, distribution[token]) for token in best_first[:3]]


@given(context=st.text("abc", max_size=20))
def test_only_the_last_tokens_of_the_context_matter(context: str) -> None:
    model = NGramModel([letters("abcabcaabbcc"), letters("cab")], size=4, order=4, end=ENDS)
    state = model.start
    for token in letters(context):
        state = model.advance(state, token)
    assert state is model.state_after(letters(context))


@pytest.mark.parametrize("context", ["", "The bees", "Question: What is 7 plus 5?\nAnswer:", "Zürich, 漢字 and zq"])
def test_the_shipped_model_has_proper_distributions(model: LanguageModel, context: str) -> None:
    state = model.ngrams.state_after(model.vocabulary.tokenise(context))
    distribution = model.ngrams.distribution(state)
    assert len(distribution) == len(model.vocabulary)
    assert math.fsum(distribution) == pytest.approx(1)
    assert min(distribution) > 0


def test_the_model_has_learned_what_unknown_words_look_like() -> None:
    model = fit(["one fish swims", "one bird swims", "one fish sleeps"])

    def score(word: str) -> float:
        state = model.ngrams.state_after(model.vocabulary.tokenise("one"))
        total = 0.0
        for token in model.vocabulary.tokenise(word):
            total += math.log(model.ngrams.probability(state, token))
            state = model.ngrams.advance(state, token)
        return total

    assert score(" birds") > score(" qzxqz")
