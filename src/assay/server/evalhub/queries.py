"""Query parameters of the EvalHub face: reading, checking, and the filter operators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from assay.model.errors import BadQueryValue, UnknownQuery
from assay.store.pages import Match

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_INTEGER = re.compile(r"[+-]?0*[0-9]{1,18}")
_SIGNS = re.compile(r"[,|]")
_MOST_VALUES = 100
"""Most values of one filter. Each is a part of the statement that the database is asked, and those have a limit."""
_SHOWN = 100
"""As much of a filter with too many values is repeated in the refusal."""


class Parameters:
    """The query of a request; every parameter that is read is known, all others are refused by `only_known`.

    Raises BadQueryValue for a NUL character, which nothing that is stored has.
    """

    def __init__(self, request: Request) -> None:
        raw = request.scope["query_string"].decode("latin-1")
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(raw, keep_blank_values=True, errors="replace"):
            if "\0" in value:
                raise BadQueryValue(name=name, kind="text without NUL characters", value=value.replace("\0", "%00"))
            self._values.setdefault(name, []).append(value)
        self._path = request.scope["path"]
        self._uri = f"{self._path}?{raw}" if raw else self._path

    def text(self, name: str) -> str:
        """Return the values of a string parameter joined with commas; empty if not given."""
        return ",".join(value for value in self._values.get(name, []) if value)

    def count(self, name: str, default: int, least: int = 0) -> int:
        """Return an integer parameter of at least `least`. Raises BadQueryValue."""
        value = self._first(name)
        if not value:
            return default
        number = self.integer(name)
        if number is None:
            raise BadQueryValue(name=name, kind="integer", value=value)
        if number < least:
            raise BadQueryValue(name=name, kind="positive integer", value=value)
        return number

    def integer(self, name: str) -> int | None:
        """Return an integer parameter; of several the first counts. None for what is no integer, or no small one."""
        value = self._first(name)
        return int(value) if _INTEGER.fullmatch(value) else None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean parameter. Raises BadQueryValue."""
        value = self._first(name)
        if value and value not in _TRUE | _FALSE:
            raise BadQueryValue(name=name, kind="boolean", value=value)
        return value in _TRUE if value else default

    def scalar(self, name: str) -> Match | None:
        """Return the filter on a single-valued member, None if not given. Raises BadQueryValue for too many values."""
        value = self._filter(name)
        return scalar_match(value) if value else None

    def listed(self, name: str) -> Match | None:
        """Return the filter on a list, None if not given. Raises BadQueryValue for too many values."""
        value = self._filter(name)
        return list_match(value) if value else None

    def only_known(self, allowed: Sequence[str]) -> None:
        """Raise UnknownQuery for the first parameter that is not in `allowed`."""
        for name in self._values:
            if name not in allowed:
                raise UnknownQuery(name=name, allowed=", ".join(allowed))

    def links(self, limit: int, offset: int, total: int) -> dict[str, dict[str, str]]:
        """Return the `first` and, where more follows, the `next` link of a page."""
        links = {"first": {"href": self._uri}}
        if limit and offset + limit < total:
            # By name alone: of a parameter that is given twice the first value counts.
            query = dict(sorted({**self._values, "offset": [str(offset + limit)]}.items()))
            links["next"] = {"href": f"{self._path}?{urlencode(query, doseq=True)}"}
        return links

    def _filter(self, name: str) -> str:
        value = self.text(name)
        if len(_SIGNS.findall(value)) >= _MOST_VALUES:
            shown = value[:_SHOWN] + "…" if len(value) > _SHOWN else value
            raise BadQueryValue(name=name, kind=f"filter of at most {_MOST_VALUES} values", value=shown)
        return value

    def _first(self, name: str) -> str:
        return (self._values.get(name) or [""])[0]


def index_of(text: str) -> int | None:
    """Return the number of a benchmark in a path, or None if it is none. One beyond all lists stands for all such."""
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) <= 9 else 10**9


def scalar_match(value: str) -> Match:
    """Return the filter on a single-valued column: `a,b` and `a|b` are both OR; a leading `!` excludes.

    The whole value counts as one of the alternatives too, since names may contain commas.
    """
    parts = [part for part in _SIGNS.split(value) if part]
    wanted = [part for part in parts if not part.startswith("!")]
    if len(parts) > 1 and wanted:
        wanted.append(value)
    return Match(any_of=tuple(wanted), none_of=tuple(part[1:] for part in parts if part.startswith("!")))


def list_match(value: str) -> Match:
    """Return the filter on a list: `a,b` is AND, `a|b` is OR (the comma wins); a leading `!` excludes."""
    conjunction = "," in value
    parts = [part for part in re.split("," if conjunction else r"\|", value) if part]
    wanted = tuple(part for part in parts if not part.startswith("!"))
    unwanted = tuple(part[1:] for part in parts if part.startswith("!"))
    return Match(all_of=wanted, none_of=unwanted) if conjunction or len(parts) == 1 else Match(wanted, (), unwanted)


def matches(match: Match, values: set[str]) -> bool:
    """Say whether the values of something that is not in the database satisfy a filter."""
    return (
        (not match.any_of or not values.isdisjoint(match.any_of))
        and values.issuperset(match.all_of)
        and values.isdisjoint(match.none_of)
    )
