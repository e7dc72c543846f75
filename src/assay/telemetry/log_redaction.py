"""Redaction for `logging`: no record is written before its message, exception and extra fields are masked."""

from __future__ import annotations

import logging

from assay.telemetry.redaction import Redactor

_EMPTY_RECORD = logging.LogRecord("", 0, "", 0, "", None, None)
_STANDARD = frozenset(_EMPTY_RECORD.__dict__) | {"message", "asctime", "taskName"}
_FORMATTER = logging.Formatter()


class RedactingFilter(logging.Filter):
    """Put on every handler; masks each record in place and lets it pass.

    A filter on a logger does not see the records of its children, so it belongs on the handlers.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask `record`; always True. A message that cannot be formatted is masked unformatted."""
        try:
            message = record.getMessage()
        except Exception:  # a wrong format string must not lose the line
            message = f"{record.msg} {record.args}"
        record.msg, record.args = self._redactor.text(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
            record.exc_info = None  # a formatter would print it again, unmasked
        if record.stack_info:
            record.stack_info = self._redactor.text(record.stack_info)
        for name, value in record.__dict__.items():
            if name not in _STANDARD and isinstance(value, str):
                record.__dict__[name] = self._redactor.text(value)
        return True


class RedactingFormatter(logging.Formatter):
    """Masks the finished line of any other formatter: the last gate, whatever the formatter adds."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The masked line."""
        return self._redactor.text(self._inner.format(record))


def redact_logging(redactor: Redactor, logger: logging.Logger | None = None) -> RedactingFilter:
    """Put one `RedactingFilter` on every handler of `logger` (default: the root logger) and return it."""
    redacting = RedactingFilter(redactor)
    for handler in (logger or logging.getLogger()).handlers:
        handler.addFilter(redacting)
    return redacting
