"""Executes one statement with several sets of parameters at once: PostgreSQL is given a column of each parameter, an array.

The statement is written for one row (`... WHERE id = :id`). Its form for several joins the table with the rows that the
arrays are unfolded to, in their order. No two of them may change the same row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from assay.store.base import Each, NotChanged, Row

FEWEST: Final = 3
"""Sets of parameters; fewer are executed one by one, in one way there and back."""

MOST: Final = 1000
"""Sets of parameters of one statement."""

_VALUES = re.compile(r"(INSERT INTO [^()]*\([^()]*\)) VALUES \(([^()]*)\)( ON CONFLICT .*)?")
_FOUND = re.compile(r"(INSERT INTO [^()]*\([^()]*\) SELECT .*) FROM (\w+) WHERE (.*) FOR NO KEY UPDATE")
_UPDATE = re.compile(r"(UPDATE \w+ SET .*) WHERE (.*)")
_DELETE = re.compile(r"(DELETE FROM \w+) WHERE (.*)")
NUMBER = re.compile(r"\$(\d+)")


class _Form(NamedTuple):
    """A statement for several, before and after the rows that it is about."""

    before: str
    after: str

    def of(self, types: Sequence[str]) -> str:
        """Return the statement for parameters of these types."""
        arrays = ", ".join(f"${number}::{name}[]" for number, name in enumerate(types, 1))
        names = ", ".join(f"p{number}" for number in range(1, len(types) + 1))
        return f"{self.before} unnest({arrays}) WITH ORDINALITY AS each ({names}, place){self.after}"


@lru_cache(maxsize=256)
def form(sql: str) -> _Form | None:
    """Return the form for several of a statement with numbered parameters; None where it has none."""
    sql = NUMBER.sub(r"each.p\1", " ".join(sql.split()))
    if found := _VALUES.fullmatch(sql):
        return _Form(f"{found[1]} SELECT {found[2]} FROM", found[3] or "")
    if found := _FOUND.fullmatch(sql):
        return _Form(f"{found[1]} FROM {found[2]},", f" WHERE {found[3]} ORDER BY place FOR NO KEY UPDATE OF {found[2]}")
    if found := _UPDATE.fullmatch(sql):
        return _Form(f"{found[1]} FROM", f" WHERE {found[2]}")
    if found := _DELETE.fullmatch(sql):
        return _Form(f"{found[1]} USING", f" WHERE {found[2]}")
    return None


_known: dict[str, str | None] = {}
"""The statements that have been executed so, as they are written for one, each with what is executed for several."""


async def for_several(connection: Any, sql: str) -> str | None:
    """Return what is executed for several sets of parameters, as arrays; None where a statement has no such form."""
    if sql not in _known:
        found = form(sql)
        # PostgreSQL says what types the parameters have.
        types = [one.name for one in (await connection.prepare(sql)).get_parameters()] if found else []
        _known[sql] = found.of(types) if found else None
    return _known[sql]


async def execute_each(
    connection: Any, name: str, sql: str, every: Sequence[Sequence[Any]], each: Each, *, arrays: bool = True
) -> list[Row]:
    """Execute a statement with each of `every`; return the rows that are asked for. Raises NotChanged.

    `arrays`: several at once, where it can be done so.
    """
    if each is Each.ASKS:
        return await connection.fetchmany(sql, every)  # type: ignore[no-any-return]
    if arrays and len(every) >= FEWEST and (several := await for_several(connection, sql)) is not None:
        changed = 0
        for first in range(0, len(every), MOST):
            changed += len(await connection.fetch(several, *zip(*every[first : first + MOST], strict=True)))
    elif each is Each.CHANGES:
        changed = len(await connection.fetchmany(sql, every))
    else:
        await connection.executemany(sql, every)
        return []
    if each is Each.CHANGES and changed != len(every):
        raise NotChanged(name)
    return []
