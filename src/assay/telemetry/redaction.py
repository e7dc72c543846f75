"""Masks secrets in everything the program stores or shows: logs, engine output, artifacts, relayed answers.

Two passes: first the known secrets, literally and in every spelling of `secret_forms`; then what merely looks
like a credential (`secret_patterns`). Literals go first, so a pattern never cuts a known secret in two and
leaves a rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from assay.telemetry.secret_forms import secret_forms
from assay.telemetry.secret_patterns import MASK, MAX_MATCH, mask_patterns, mask_until

# A line longer than this is no longer held back whole while a stream waits for its end.
_LONGEST_HELD_LINE = 64 * 1024
_LAST_LINE_BREAK = re.compile(rb"[\r\n][^\r\n]*\Z")


class Redactor:
    """Replaces secrets by `[redacted]`.

    `patterns=False` masks the known secrets only and leaves everything else byte for byte, for content that
    is not ours to change. Secrets may be added while streams are open; they count from the next bytes on.
    """

    def __init__(self, secrets: Iterable[str] = (), *, patterns: bool = True) -> None:
        self.patterns = patterns
        self._forms: frozenset[bytes] = frozenset()
        self._literals: re.Pattern[bytes] | None = None
        self._add(secrets)

    def add(self, secret: str) -> None:
        """Mask `secret` too, from now on; ignored when shorter than `secret_forms.MIN_SECRET_LENGTH`."""
        self._add([secret])

    def _add(self, secrets: Iterable[str]) -> None:
        # A mask must not itself be taken for a secret, else masking would never settle.
        new = {form for secret in secrets for form in secret_forms(secret) if form not in MASK}
        if new <= self._forms:
            return
        self._forms |= new
        self._literals = None

    def text(self, text: str) -> str:
        """`text` without secrets; returned as it is when there is nothing to mask."""
        data = text.encode("utf-8", "surrogatepass")
        masked = self.bytes(data)
        return text if masked == data else _decode(masked)

    def stream(self) -> StreamRedactor:
        """A redactor for bytes that arrive in pieces."""
        return StreamRedactor(self)

    def _present(self, data: bytes) -> re.Pattern[bytes] | None:
        """What finds the secrets in `data`; None where there are none, as nearly always.

        To look for each form costs a twentieth of what the pattern does, and to compile that many times as much again.
        """
        if not any(form in data for form in self._forms):
            return None
        if self._literals is None:
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._literals = re.compile(b"|".join(map(re.escape, longest_first)))
        return self._literals

    def _mask_literals(self, data: bytes) -> bytes:
        literals = self._present(data)
        return literals.sub(MASK, data) if literals is not None else data

    def _mask_literals_until_open(self, data: bytes) -> tuple[bytes, bytes]:
        """Masked bytes, and the tail that may be the beginning of a secret."""
        held = self._open_literal(data)
        literals = self._present(data)
        if literals is None:
            return data[:held], data[held:]
        parts: list[bytes] = []
        start = 0
        for match in literals.finditer(data):
            if match.start() >= held:
                break
            parts += (data[start : match.start()], MASK)
            start = match.end()
        parts.append(data[start:held])
        return b"".join(parts), data[max(start, held) :]

    def _open_literal(self, data: bytes) -> int:
        """Where the longest tail of `data` begins that a secret could continue; its length if none does."""
        held = len(data)
        for form in self._forms:
            at = data.find(form[:1], max(0, len(data) - len(form) + 1), held)
            while at != -1:
                if form.startswith(data[at:]):
                    held = at
                    break
                at = data.find(form[:1], at + 1, held)
        return held

    # Last in the class: its name would hide the builtin from the annotations after it.
    def bytes(self, data: bytes) -> bytes:
        """`data` without secrets."""
        data = self._mask_literals(data)
        return mask_patterns(data) if self.patterns else data


class StreamRedactor:
    """One stream's masking: the concatenated output is the same however the input was cut into pieces.

    Without patterns it holds back only a tail that may be the beginning of a secret (usually nothing); with
    patterns also the last, unfinished line, up to 64 KiB of it.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._open = b""  # may be the beginning of a known secret
        self._line = b""  # the unfinished line, after `_context` bytes of it that were emitted already
        self._context = 0

    def feed(self, data: bytes) -> bytes:
        """Take `data`; return what is now safe to emit (maybe nothing)."""
        masked, self._open = self._redactor._mask_literals_until_open(self._open + data)
        return self._feed_patterns(masked) if self._redactor.patterns else masked

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        if not self._open and not self._line:
            return b""
        rest = self._redactor._mask_literals(self._open)
        self._open = b""
        if not self._redactor.patterns:
            return rest
        rest = self._feed_patterns(rest) + mask_until(self._line, self._context, len(self._line))[0]
        self._line, self._context = b"", 0
        return rest

    def _feed_patterns(self, data: bytes) -> bytes:
        held = len(self._line)
        self._line += data
        line_break = _LAST_LINE_BREAK.search(data)
        if line_break is not None:
            return self._emit(held + line_break.start() + 1, context=0)
        if len(self._line) > _LONGEST_HELD_LINE:
            # Whether a match begins at a byte is certain once MAX_MATCH bytes after it are known.
            return self._emit(len(self._line) - MAX_MATCH - 1, context=1)
        return b""

    def _emit(self, limit: int, context: int) -> bytes:
        emitted, end = mask_until(self._line, self._context, limit)
        self._line, self._context = self._line[end - context :], context
        return emitted


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # a bound of a pattern can fall inside a character
        return data.decode("utf-8", "replace")
