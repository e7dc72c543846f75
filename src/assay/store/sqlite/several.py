"""Executes one statement with several sets of parameters, in the way that costs SQLite and Python least.

Parameters are bound by position: to look one up by its name takes longer than to bind it. An INSERT takes several rows at a
time, so that what a statement costs beside its rows is paid once for all of them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

_TOGETHER = 16
"""Rows of one INSERT. More gain little, and each number of rows is a statement of its own to SQLite."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]\w*)")
_INSERT = re.compile(r"(INSERT INTO .*? VALUES )(\([^()]*\))( ON CONFLICT .*)?", re.DOTALL)


class _Form(NamedTuple):
    """A statement with its parameters by position, how to order those, and the INSERT of several rows, if it is one."""

    sql: str
    ordered: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    rows: str


@lru_cache(maxsize=256)
def _form(sql: str) -> _Form:
    names = _PARAMETER.findall(sql)
    sql = _PARAMETER.sub("?", sql)
    found = _INSERT.fullmatch(re.sub(r"\s+", " ", sql))
    rows = f"{found[1]}{', '.join([found[2]] * _TOGETHER)}{found[3] or ''}" if found else ""
    return _Form(sql, itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names), rows)


def execute_each(connection: sqlite3.Connection, sql: str, many: Sequence[Mapping[str, Any]]) -> int:
    """Execute a statement that gives no rows once with each of `many`; return how many rows it has changed."""
    form = _form(sql)
    every = list(map(form.ordered, many))
    changed, first = 0, 0
    if form.rows:
        while len(every) - first >= _TOGETHER:
            several = every[first : first + _TOGETHER]
            changed += connection.execute(form.rows, list(chain.from_iterable(several))).rowcount
            first += _TOGETHER
    if first < len(every):
        changed += connection.executemany(form.sql, every[first:]).rowcount
    return changed
