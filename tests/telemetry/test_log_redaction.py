"""Log records lose their secrets before any handler writes them."""

import io
import logging
from collections.abc import Iterator

import pytest

from assay.telemetry.log_redaction import RedactingFormatter, redact_logging
from assay.telemetry.redaction import Redactor

CANARY = "canary-model-key-7f3a"


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    out = io.StringIO()
    logger = logging.Logger(request.node.name)
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(extra)s", defaults={"extra": ""}))
    logger.addHandler(handler)
    redact_logging(Redactor([CANARY]), logger)
    yield logger, out
    handler.close()


def test_message_arguments_and_extra_fields_are_masked(logger: tuple[logging.Logger, io.StringIO]) -> None:
    log, out = logger
    log.error("key %s of %d", CANARY, 3, extra={"extra": f"<{CANARY}>"})
    assert out.getvalue() == "ERROR key [redacted] of 3 <[redacted]>\n"


def test_exception_text_is_masked(logger: tuple[logging.Logger, io.StringIO]) -> None:
    log, out = logger
    try:
        raise ValueError(f"refused {CANARY}")
    except ValueError:
        log.exception("failed")
    assert "ValueError: refused [redacted]" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_a_wrong_format_string_does_not_lose_the_line(logger: tuple[logging.Logger, io.StringIO]) -> None:
    log, out = logger
    log.error("%d items", CANARY)
    assert "%d items" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_the_formatter_masks_whatever_the_inner_one_writes() -> None:
    formatter = RedactingFormatter(logging.Formatter("%(name)s %(message)s"), Redactor([CANARY]))
    record = logging.LogRecord(f"log.{CANARY}", logging.INFO, "", 0, "Authorization: Bearer xyz", None, None)
    assert formatter.format(record) == "log.[redacted] Authorization: Bearer [redacted]"
