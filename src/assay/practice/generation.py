"""From a prompt to an answer: greedy or sampled decoding, and scores of a given text.

No I/O, and no chance: the same input gives the same output.
"""

from __future__ import annotations

import codecs
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from assay.practice.fitting import LanguageModel
from assay.practice.ngram import Node
from assay.practice.tokens import END_ID


@dataclass(frozen=True)
class Decoding:
    """How to choose the next token.

    `temperature` 0 is greedy. `top_alternatives` None leaves log-probabilities out.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_alternatives: int | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A token with its natural log-probability, and the best alternatives, itself among them."""

    token: int
    logprob: float | None
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was generated.

    `tokens` has everything that was drawn, the end mark and a token that ran into a stop string included;
    `pieces` has the visible text of each of them, and `text` is their sum.
    """

    tokens: tuple[Scored, ...]
    pieces: tuple[str, ...]
    finish_reason: str

    @property
    def text(self) -> str:
        """The answer as the user sees it."""
        return "".join(self.pieces)


def generate(model: LanguageModel, prompt: Sequence[int], decoding: Decoding) -> Answer:
    """Continue `prompt` until the model ends the text, a stop string appears or `max_tokens` are drawn.

    An empty prompt begins a new text.
    """
    ngrams, vocabulary = model.ngrams, model.vocabulary
    state = ngrams.state_after(prompt or (END_ID,))
    chooser = random.Random(decoding.seed) if decoding.temperature > 0 else None  # noqa: S311 - reproducible on purpose
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tokens: list[Scored] = []
    pieces: list[str] = []
    text = ""
    while len(tokens) < decoding.max_tokens:
        token = ngrams.best(state) if chooser is None else _draw(model, state, decoding, chooser)
        tokens.append(score_token(model, state, token, decoding.top_alternatives))
        if token == END_ID:
            pieces.append(decoder.decode(b"", final=True))
            return Answer(tuple(tokens), tuple(pieces), "stop")
        piece = decoder.decode(vocabulary.bytes_of(token))
        pieces.append(piece)
        if decoding.stop:
            searched = max(0, len(text) - max(map(len, decoding.stop)))
            text += piece
            found = [at for stop in decoding.stop if (at := text.find(stop, searched)) >= 0]
            if found:
                return Answer(tuple(tokens), _cut(pieces, min(found)), "stop")
        state = ngrams.advance(state, token)
    if pieces:
        pieces[-1] += decoder.decode(b"", final=True)
    return Answer(tuple(tokens), tuple(pieces), "length")


def score(model: LanguageModel, tokens: Sequence[int], alternatives: int) -> list[Scored]:
    """The log-probability of each token given those before it; the first has none, as in the OpenAI API."""
    scored: list[Scored] = []
    state = model.ngrams.start
    for position, token in enumerate(tokens):
        if position:
            scored.append(score_token(model, state, token, alternatives))
        else:
            scored.append(Scored(token, None))
        state = model.ngrams.advance(state, token)
    return scored


def score_token(model: LanguageModel, state: Node, token: int, alternatives: int | None) -> Scored:
    """`token` with its log-probability in `state`, and the `alternatives` most probable tokens beside it."""
    if alternatives is None:
        return Scored(token, None)
    ngrams = model.ngrams
    logprob = math.log(ngrams.probability(state, token))
    if alternatives == 1:
        best = ngrams.best(state)
        if best == token:
            return Scored(token, logprob, ((token, logprob),))
        return Scored(token, logprob, ((best, math.log(ngrams.probability(state, best))), (token, logprob)))
    top = [(other, math.log(probability)) for other, probability in ngrams.top(state, alternatives)]
    if all(other != token for other, _ in top):
        top.append((token, logprob))
    return Scored(token, logprob, tuple(top))


def _draw(model: LanguageModel, state: Node, decoding: Decoding, chooser: random.Random) -> int:
    """A token from p^(1/temperature), cut to the smallest set that holds `top_p` of it."""
    weights = model.ngrams.distribution(state)
    if decoding.temperature != 1:
        highest = max(weights)
        weights = [(weight / highest) ** (1 / decoding.temperature) for weight in weights]
    if decoding.top_p >= 1:
        return chooser.choices(range(len(weights)), weights)[0]
    ranked = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    wanted, kept, mass = decoding.top_p * sum(weights), 0, 0.0
    while kept < len(ranked) and mass < wanted:
        mass += weights[ranked[kept]]
        kept += 1
    nucleus = ranked[: max(kept, 1)]
    return chooser.choices(nucleus, [weights[token] for token in nucleus])[0]


def _cut(pieces: list[str], length: int) -> tuple[str, ...]:
    """`pieces` with everything after the first `length` characters blanked."""
    kept: list[str] = []
    for piece in pieces:
        kept.append(piece[: max(length, 0)])
        length -= len(piece)
    return tuple(kept)
