"""From a decoded request to its reply. No I/O: what the endpoints send is decided here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from assay.practice import replies
from assay.practice.fitting import LanguageModel
from assay.practice.generation import Answer, Decoding, generate, score
from assay.practice.prompts import check_length, render_chat, token_prompts
from assay.practice.replies import ChatReply, Choice, CompletionReply
from assay.practice.wire import ChatRequest, CompletionRequest, Sampling

CHAT_TOKENS = 256
"""Length of a chat answer where the request names none."""
COMPLETION_TOKENS = 16
"""Length of a completion where the request names none, as in the OpenAI API."""


class ChatTurn:
    """One chat request."""

    def __init__(self, model: LanguageModel, request: ChatRequest) -> None:
        self._model, self.request = model, request
        self.prompt = render_chat(request.messages)
        """The text that the model continues."""

    def answer(self, seed: int, *, silent: bool) -> ChatReply:
        """The reply; `seed` serves a request without one. Raises ApiError for a prompt that is too long."""
        request, vocabulary = self.request, self._model.vocabulary
        limits = (request.max_completion_tokens, request.max_tokens, CHAT_TOKENS)
        limit = next(limit for limit in limits if limit is not None)
        count = (request.top_logprobs or 0) if request.logprobs else None
        tokens = vocabulary.tokenise(self.prompt)
        check_length(len(tokens), limit)
        choices = [
            Choice(answer, "", None if count is None else replies.chat_logprobs(answer.tokens, vocabulary, count))
            for answer in _answers(self._model, tokens, _decoding(request, seed, limit, count), request.n)
        ]
        name = f"chatcmpl-{uuid4().hex}"
        return ChatReply(name, int(time.time()), request.model, len(tokens), choices, silent)


class CompletionTurn:
    """One completion request, which may hold several prompts."""

    def __init__(self, model: LanguageModel, request: CompletionRequest) -> None:
        self._model, self.request = model, request
        self._prompts = token_prompts(request.prompt, model.vocabulary)
        self.prompt = "\n".join([model.vocabulary.detokenise(tokens) for tokens in self._prompts])
        """All prompts as text."""

    def answer(self, seed: int, *, silent: bool) -> CompletionReply:
        """The reply; `seed` serves a request without one. Raises ApiError for a prompt that is too long."""
        request = self.request
        limit = COMPLETION_TOKENS if request.max_tokens is None else request.max_tokens
        for tokens in self._prompts:
            check_length(len(tokens), limit)
        decoding = _decoding(request, seed, limit, request.logprobs)
        choices = [choice for tokens in self._prompts for choice in self._choices(tokens, decoding)]
        prompt_tokens = sum(map(len, self._prompts))
        name = f"cmpl-{uuid4().hex}"
        return CompletionReply(name, int(time.time()), request.model, prompt_tokens, choices, silent)

    def _choices(self, tokens: list[int], decoding: Decoding) -> list[Choice]:
        model, count = self._model, self.request.logprobs
        answers = _answers(model, tokens, decoding, self.request.n)
        echoed = model.vocabulary.detokenise(tokens) if self.request.echo else ""
        if count is None:
            return [Choice(answer, echoed, None) for answer in answers]
        scored = score(model, tokens, count) if self.request.echo else []
        return [
            Choice(answer, echoed, replies.completion_logprobs([*scored, *answer.tokens], model.vocabulary))
            for answer in answers
        ]


Turn = ChatTurn | CompletionTurn


def _decoding(request: Sampling, seed: int, limit: int, alternatives: int | None) -> Decoding:
    return Decoding(
        max_tokens=limit,
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=seed if request.seed is None else request.seed,
        stop=request.stops(),
        top_alternatives=alternatives,
    )


def _answers(model: LanguageModel, prompt: Sequence[int], decoding: Decoding, count: int | None) -> list[Answer]:
    """`count` answers, by default one; each draws with a seed of its own; a greedy one is computed once."""
    if decoding.temperature == 0:
        return [generate(model, prompt, decoding)] * (count or 1)
    return [generate(model, prompt, replace(decoding, seed=decoding.seed + i)) for i in range(count or 1)]
