"""What clients receive: OpenAI answer documents, whole or as the chunks of a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from assay.practice.generation import Answer, Scored
from assay.practice.tokens import Vocabulary

Document = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One answer, with the prompt text to repeat before it and its `logprobs` member."""

    answer: Answer
    echoed: str
    logprobs: Document | None


@dataclass(frozen=True)
class Reply(ABC):
    """An answered request. `silent` leaves the text out: null in the document, nothing in the chunks."""

    id: str
    created: int
    model: str
    prompt_tokens: int
    choices: Sequence[Choice]
    silent: bool = False

    kind: ClassVar[str]
    chunk_kind: ClassVar[str]

    @property
    def completion_tokens(self) -> int:
        """Tokens drawn, over all choices."""
        return sum(len(choice.answer.tokens) for choice in self.choices)

    def document(self) -> Document:
        """The answer as one document, usage included."""
        choices = [self._whole(index, choice) for index, choice in enumerate(self.choices)]
        return self._envelope(self.kind, choices) | {"usage": self._usage()}

    def chunks(self) -> Iterator[Document]:
        """The answer as a stream; the last chunk of a choice has its finish reason."""
        for index, choice in enumerate(self.choices):
            parts = self._parts(choice)
            for place, part in enumerate(parts):
                last = place == len(parts) - 1
                yield self._envelope(
                    self.chunk_kind,
                    [
                        part
                        | {
                            "index": index,
                            "logprobs": choice.logprobs if last else None,
                            "finish_reason": choice.answer.finish_reason if last else None,
                        }
                    ],
                )

    def usage_chunk(self) -> Document:
        """What ends a stream when `stream_options.include_usage` is set."""
        return self._envelope(self.chunk_kind, []) | {"usage": self._usage()}

    @abstractmethod
    def _text(self, choice: Choice) -> Document:
        """The members that hold the whole text of a choice."""

    @abstractmethod
    def _parts(self, choice: Choice) -> list[Document]:
        """The members that hold the text of a choice, token by token; at least one."""

    def _whole(self, index: int, choice: Choice) -> Document:
        return {
            "index": index,
            **self._text(choice),
            "logprobs": choice.logprobs,
            "finish_reason": choice.answer.finish_reason,
        }

    def _envelope(self, kind: str, choices: list[Document]) -> Document:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _usage(self) -> Document:
        completion = self.completion_tokens
        total = self.prompt_tokens + completion
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": completion, "total_tokens": total}


class CompletionReply(Reply):
    """The answer to `POST /v1/completions`."""

    kind = "text_completion"
    chunk_kind = "text_completion"

    def _text(self, choice: Choice) -> Document:
        return {"text": None if self.silent else choice.echoed + choice.answer.text}

    def _parts(self, choice: Choice) -> list[Document]:
        pieces = [] if self.silent else [choice.echoed, *choice.answer.pieces]
        return [{"text": piece} for piece in pieces if piece] or [{"text": ""}]


class ChatReply(Reply):
    """The answer to `POST /v1/chat/completions`, without the space that parts it from the question."""

    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def _text(self, choice: Choice) -> Document:
        content = None if self.silent else choice.answer.text.removeprefix(" ")
        return {"message": {"role": "assistant", "content": content}}

    def _parts(self, choice: Choice) -> list[Document]:
        pieces = [] if self.silent else list(choice.answer.pieces)
        if pieces:
            pieces[0] = pieces[0].removeprefix(" ")
        deltas: list[Document] = [{"role": "assistant", "content": ""}]
        deltas.extend({"content": piece} for piece in pieces if piece)
        return [{"delta": delta} for delta in [*deltas, {}]]


def completion_logprobs(scored: Sequence[Scored], vocabulary: Vocabulary) -> Document:
    """The `logprobs` member of a completion choice."""
    offsets: list[int] = []
    offset = 0
    for item in scored:
        raw = vocabulary.bytes_of(item.token)
        inside = len(raw) == 1 and 0x80 <= raw[0] < 0xC0  # a later byte of a character that has begun
        offsets.append(max(offset - 1, 0) if inside else offset)
        offset += 0 if inside else max(len(raw.decode("utf-8", "ignore")), 1)
    return {
        "tokens": [vocabulary.text_of(item.token) for item in scored],
        "token_logprobs": [item.logprob for item in scored],
        "top_logprobs": [_by_text(item, vocabulary) for item in scored],
        "text_offset": offsets,
    }


def _by_text(item: Scored, vocabulary: Vocabulary) -> dict[str, float] | None:
    if item.logprob is None:
        return None
    return {vocabulary.text_of(token): logprob for token, logprob in item.alternatives}


def chat_logprobs(scored: Sequence[Scored], vocabulary: Vocabulary, count: int) -> Document:
    """The `logprobs` member of a chat choice, with the `count` best alternatives at each place."""

    def entry(token: int, logprob: float | None) -> Document:
        text, raw = vocabulary.text_of(token), vocabulary.bytes_of(token)
        return {"token": text, "logprob": logprob, "bytes": list(raw)}

    return {
        "content": [
            entry(item.token, item.logprob)
            | {"top_logprobs": [entry(token, value) for token, value in item.alternatives[:count]]}
            for item in scored
        ]
    }
