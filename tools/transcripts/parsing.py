"""The record: exchanges under numbered sections, and tables of one request and what was changed in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FENCE = "```"
_ROW = re.compile(r"^\| (?P<change>.+?) \| (?P<status>\d{3}) \| (?P<code>\w*) \| (?P<message>.*) \|$")
_CHANGE = re.compile(r"`(?P<path>[^`]+)` (?:= `(?P<value>[^`]*)`|removed)")
_CUT_SHORT = " … (over the limit)"


@dataclass(frozen=True)
class Message:
    """A request or an answer: its first line, its headers with names in lower case, its body as text."""

    first: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Exchange:
    """A request and its recorded answer. `cut`: lists of the answer were shortened in the record."""

    section: int
    title: str
    request: Message
    answer: Message
    cut: bool

    @property
    def method(self) -> str:
        return self.request.first.split()[0]

    @property
    def target(self) -> str:
        return self.request.first.split()[1]

    @property
    def status(self) -> int:
        return int(self.answer.first.split()[1])


@dataclass(frozen=True)
class Row:
    """A row of the gallery: the change to the base request of its table, and the answer."""

    table: str
    change: str
    status: int
    code: str
    message: str


def exchanges(text: str) -> Iterator[Exchange]:
    """Yield the exchanges of a record, in its order."""
    for number, section in _parts(text, r"^## (\d+)\. .*$"):
        for title, part in _parts(section, r"^### (.*)$"):
            blocks = re.findall(rf"^{_FENCE}http\n(.*?)^{_FENCE}$", part, re.MULTILINE | re.DOTALL)
            if len(blocks) == 2:
                yield Exchange(int(number), title, _message(blocks[0]), _message(blocks[1]), "\n_Cut: " in part)


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of the gallery, in its order."""
    for table, part in _parts(text, r"^#### (.*)$"):
        for line in part.splitlines():
            found = _ROW.match(line)
            if found:
                change, message = (found[name].replace("¦", "|") for name in ("change", "message"))
                yield Row(table, change, int(found["status"]), found["code"], message.strip("`").replace("⏎", "\n"))


def changes(cell: str) -> dict[str, Any] | None:
    """Return the new value of each dotted path of a cell, `...` for one that is removed; None if a value was cut short."""
    if _CUT_SHORT in cell:
        return None
    return {m["path"]: ... if m["value"] is None else json.loads(m["value"]) for m in _CHANGE.finditer(cell)}


def _parts(text: str, heading: str) -> Iterator[tuple[str, str]]:
    """Yield what a heading captures, and the text up to the next one."""
    found = list(re.finditer(heading, text, re.MULTILINE))
    for here, after in zip(found, [*found[1:], None], strict=False):
        yield here[1], text[here.end() : after.start() if after else len(text)]


def _message(block: str) -> Message:
    head, _, body = block.partition("\n\n")
    first, *lines = head.strip().splitlines()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Message(first, headers, body)
