"""Decoding: greedy is greedy, sampling follows the seed, stops stop."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.practice.fitting import LanguageModel, fit, practice_language_model
from assay.practice.generation import Answer, Decoding, generate, score
from assay.practice.tokens import END_ID

SHIPPED = practice_language_model()


def answer(model: LanguageModel, prompt: str, max_tokens: int = 40, **settings: object) -> Answer:
    decoding = Decoding(max_tokens, **settings)  # type: ignore[arg-type]
    return generate(model, model.vocabulary.tokenise(prompt), decoding)


def test_it_answers_a_sum_that_it_has_read(model: LanguageModel) -> None:
    got = answer(model, "Question: What is 7 plus 5?\nAnswer:")
    assert (got.text, got.finish_reason) == (" 12", "stop")
    assert got.tokens[-1].token == END_ID


def test_greedy_decoding_takes_the_most_probable_token_each_time(model: LanguageModel) -> None:
    got = answer(model, "The farmer", top_alternatives=5)
    for item in got.tokens:
        assert item.logprob == max(logprob for _, logprob in item.alternatives)
        assert item.alternatives[0][0] == item.token
    assert got == answer(model, "The farmer", top_alternatives=5, seed=99)


def test_a_seed_repeats_a_sample_and_another_seed_gives_another(model: LanguageModel) -> None:
    texts = [answer(model, "The", temperature=1.0, seed=seed).text for seed in (1, 1, 2, 3, 4)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_sampling_follows_the_distribution() -> None:
    model = fit(["a b", "a b", "a b", "a c"])
    state = model.ngrams.state_after(model.vocabulary.tokenise("a"))
    (b,) = model.vocabulary.tokenise(" b")
    draws = Counter(answer(model, "a", 1, temperature=1.0, seed=seed).tokens[0].token for seed in range(2000))
    expected = model.ngrams.probability(state, b)
    assert draws[b] / 2000 == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 2000))


def test_a_small_nucleus_and_a_low_temperature_are_nearly_greedy(model: LanguageModel) -> None:
    greedy = answer(model, "In summer the", 8).text
    assert answer(model, "In summer the", 8, temperature=1.0, top_p=1e-9).text == greedy
    assert answer(model, "In summer the", 8, temperature=0.01).text == greedy


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(model: LanguageModel) -> None:
    whole = answer(model, "The bees").text
    cut = answer(model, "The bees", stop=("flower to", "zebra"))
    assert cut.text == whole[: whole.index("flower to")]
    assert cut.finish_reason == "stop"
    assert len(cut.pieces) == len(cut.tokens)


def test_the_limit_ends_the_answer(model: LanguageModel) -> None:
    got = answer(model, "The bees", 3)
    assert (len(got.tokens), got.finish_reason) == (3, "length")
    assert answer(model, "The bees", 0).tokens == ()


@given(st.text(max_size=30), st.integers(0, 10))
def test_answers_are_text_whatever_the_prompt(prompt: str, seed: int) -> None:
    got = answer(SHIPPED, prompt, 12, temperature=3.0, seed=seed)
    assert got.text.encode().decode() == got.text
    assert len(got.pieces) == len(got.tokens) <= 12


@given(st.text("The bees make honey. 12\n", max_size=40))
def test_the_scores_of_a_text_are_the_log_probabilities_of_its_tokens(text: str) -> None:
    tokens = SHIPPED.vocabulary.tokenise(text)
    scored = score(SHIPPED, tokens, 1)
    assert [item.token for item in scored] == tokens
    assert [item.logprob for item in scored[:1]] == [None] * len(tokens[:1])
    for position in range(1, len(tokens)):
        state = SHIPPED.ngrams.state_after(tokens[:position])
        assert scored[position].logprob == math.log(SHIPPED.ngrams.probability(state, tokens[position]))
        best = max(logprob for _, logprob in scored[position].alternatives)
        assert best == math.log(max(SHIPPED.ngrams.distribution(state)))
