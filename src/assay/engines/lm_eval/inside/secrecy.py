"""Keeps the run's secrets out of everything it writes: events, artifacts, and its own standard streams."""

from __future__ import annotations

import base64
import json
from typing import TextIO
from urllib.parse import quote

_SHORTEST = 4
"""Shorter values are no secrets, and replacing them would garble the text."""


class Redactor:
    """Replaces secrets in text, however they are encoded. `secrets` maps each value to what stands in its
    place.
    """

    def __init__(self, secrets: dict[str, str]) -> None:
        self._forms: list[tuple[str, str]] = []
        for value, name in secrets.items():
            if len(value) >= _SHORTEST:
                forms = {
                    value,
                    quote(value, safe=""),
                    json.dumps(value)[1:-1],
                    base64.b64encode(value.encode()).decode(),
                }
                self._forms.extend((form, name) for form in forms)
        # A value may contain another one.
        self._forms.sort(key=lambda form: -len(form[0]))

    def clean(self, text: str) -> str:
        """Return `text` without the secrets."""
        for form, name in self._forms:
            text = text.replace(form, name)
        return text


class CleanStream:
    """A text stream that redacts whole lines before they reach `target`."""

    def __init__(self, target: TextIO, redactor: Redactor) -> None:
        self._target = target
        self._redactor = redactor
        self._pending = ""

    def write(self, text: str) -> int:
        """Take `text`; complete lines are written at once."""
        lines, newline, rest = (self._pending + text).rpartition("\n")
        self._pending = rest
        if newline:
            self._target.write(self._redactor.clean(lines) + "\n")
            self._target.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: an unfinished line is held back until it can be redacted."""

    def close(self) -> None:
        """Write what is held back."""
        if self._pending:
            self.write("\n")

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False

    def fileno(self) -> int:
        """Return the descriptor of the target."""
        return self._target.fileno()

    @property
    def encoding(self) -> str:
        """Encoding of the target."""
        return self._target.encoding
