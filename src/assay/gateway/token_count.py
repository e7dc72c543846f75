"""Reads the token counts that a model reports in its answer, while the answer passes by.

Forms: `usage` of OpenAI-style completions and embeddings (in streams: the last chunk that has one),
`input_tokens` and `output_tokens` of the responses and messages APIs, there also nested under `response` or
`message`.
"""

from __future__ import annotations

import msgspec

# An answer with log-probabilities of long prompts takes megabytes; beyond this its tokens are not counted.
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_EVENT_BYTES = 4 * 1024 * 1024


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Inner(msgspec.Struct):
    usage: _Counts | None = None


class _Answer(msgspec.Struct):
    usage: _Counts | None = None
    response: _Inner | None = None
    message: _Inner | None = None


_decoder = msgspec.json.Decoder(_Answer)


class TokenCount:
    """Feed it the bytes of one answer; `prompt` and `completion` are the counts after `finish`."""

    def __init__(self, content_type: str) -> None:
        self.prompt = 0
        self.completion = 0
        self._stream = content_type.startswith("text/event-stream")
        self._reads = self._stream or "json" in content_type
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        if not self._reads:
            return
        self._pending += data
        if self._stream:
            self._read_events()
        elif len(self._pending) > MAX_JSON_BYTES:
            self._give_up()

    def finish(self) -> None:
        """The answer is complete."""
        if self._pending:
            self._read(bytes(self._pending).removeprefix(b"data:"))
            self._pending.clear()

    def _read_events(self) -> None:
        end = self._pending.rfind(b"\n")
        if end == -1:
            if len(self._pending) > MAX_EVENT_BYTES:
                self._give_up()
            return
        lines = bytes(self._pending[:end])
        del self._pending[: end + 1]
        if b'"usage"' not in lines:
            return
        for line in lines.splitlines():
            if line.startswith(b"data:"):
                self._read(line[5:])

    def _read(self, document: bytes) -> None:
        if b'"usage"' not in document:
            return
        try:
            answer = _decoder.decode(document)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        for part in (answer, answer.response, answer.message):
            if part is not None and part.usage is not None:
                self._take(part.usage)

    def _take(self, usage: _Counts) -> None:
        # Counts within a stream are running totals: the last one of each kind is the total.
        for prompt in (usage.prompt_tokens, usage.input_tokens):
            self.prompt = prompt if prompt is not None and prompt >= 0 else self.prompt
        for completion in (usage.completion_tokens, usage.output_tokens):
            self.completion = completion if completion is not None and completion >= 0 else self.completion

    def _give_up(self) -> None:
        self._reads = False
        self._pending.clear()
