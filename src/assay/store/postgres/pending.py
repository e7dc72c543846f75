"""Statements of an operation that wait, so that several are sent as one: fewer ways there and back.

Nobody is given rows by a statement that is to be executed for many (`run_many`, `change_each`), so an INSERT or an UPDATE of
that kind can be sent later, as a part of one statement: `WITH s1 AS (UPDATE ...), s2 AS (INSERT ...) SELECT ...`. All parts
of it see the database as it was before the first, and nobody says in which order they are executed. Hence only such wait
together as neither read nor write what another one writes, and whoever reads what one of them writes sends them first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from assay.store.base import Each, NotChanged, Statement
from assay.store.postgres.several import MOST, NUMBER, execute_each, for_several

BEHIND: Final[Mapping[str, frozenset[str]]] = {
    "jobs": frozenset({"job_tallies"}),  # triggers
    "job_counts": frozenset({"job_tallies"}),  # a view
    "events": frozenset({"events_seq_seq"}),
    "outbox": frozenset({"outbox_number_seq"}),
}
"""What is written or read with a table or view that a statement names: by triggers, through the view, to number the rows."""

_COMMENT = re.compile(r"--.*")
_LOCKING = re.compile(r"\bFOR (?:NO KEY )?UPDATE\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|setval|nextval)\b", re.IGNORECASE)
_WRITTEN = re.compile(r"(?:INSERT INTO|UPDATE) (\w+)")
_NAMED = r"(?:ONLY )?\w+(?: (?!JOIN\b|USING\b|FROM\b)(?:AS )?\w+)?"
_FOUND = re.compile(rf"\b(?:FROM|JOIN|USING|INTO|UPDATE) ({_NAMED}(?: ?, ?{_NAMED})*)", re.IGNORECASE)


class Uses(NamedTuple):
    """What a statement has to do with tables."""

    named: frozenset[str]
    """Every table that it reads, locks or writes. Names of other things may be among them."""
    written: frozenset[str]
    """Those that it writes, if it is an INSERT or an UPDATE."""
    reads: bool
    """It changes nothing: neither rows nor numbers that are given away."""
    adds: bool
    """It inserts rows and looks at no others of their table, so that it matters only which of its rows is first."""

    def bars(self, other: Uses) -> bool:
        """Say whether one of two statements writes what the other one uses, so that it matters which is first."""
        return not (self.written.isdisjoint(other.named) and other.written.isdisjoint(self.named))


@lru_cache(maxsize=1024)
def uses(sql: str) -> Uses:
    """Return what a statement has to do with tables."""
    sql = _LOCKING.sub("", " ".join(_COMMENT.sub("", sql).split()))
    found = [name.split() for names in _FOUND.findall(sql) for name in names.split(",")]
    named = [words[1] if words[0] == "ONLY" else words[0] for words in found]
    written = _WRITTEN.match(sql)
    adds = sql.startswith("INSERT") and "ON CONFLICT" not in sql and named.count(named[0]) == 1
    return Uses(_all_of(named), _all_of([written[1]] if written else []), not _CHANGES.search(sql), adds)


class Pending:
    """What an operation has written and nobody has sent yet. Of what is still here when it goes wrong nothing is sent."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._waiting: list[_Waiting] = []

    async def put(self, step: Statement, sql: str, every: Sequence[Sequence[Any]]) -> bool:
        """Let a statement wait that is to be executed with each of `every`; say whether it does.

        Raises NotChanged, as `send` does.
        """
        needs = uses(sql)
        waits = needs.written or not needs.named  # what names no table: a message to other servers
        if not waits or not 0 < len(every) <= MOST or (step.each is Each.CHANGES and "RETURNING" not in sql):
            return False
        several = await for_several(self._connection, sql)
        if several is None and len(every) > 1:
            return False
        for one in self._waiting:
            alike = one.sql == sql and one.each is step.each
            if alike and several and needs.adds and len(one.every) + len(every) <= MOST:
                one.every.extend(every)
                return True
        if any(one.uses.bars(needs) for one in self._waiting):
            await self.send()
        self._waiting.append(_Waiting(step.name, step.each, sql, several, list(every), needs))
        return True

    async def send_before(self, sql: str) -> None:
        """Send what has to be sent before a statement that does not wait. Raises NotChanged, as `send` does."""
        needs = uses(sql)
        if not needs.reads or any(one.uses.bars(needs) for one in self._waiting):
            await self.send()

    async def send(self) -> None:
        """Send what waits. Raises NotChanged where a statement has not changed as many rows as it should have."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            (one,) = waiting
            await execute_each(self._connection, one.name, one.sql, one.every, one.each)
        elif waiting:
            changed = await self._connection.fetchrow(
                combined(tuple(one.part() for one in waiting)), *[value for one in waiting for value in one.arguments()]
            )
            for place, one in enumerate(waiting):
                if one.each is Each.CHANGES and changed[f"s{place}"] != len(one.every):
                    raise NotChanged(one.name)


class Part(NamedTuple):
    """A part of a combined statement: what is executed, with how many parameters, and whether its rows are counted."""

    sql: str
    parameters: int
    counted: bool


class _Waiting(NamedTuple):
    """A statement that waits. `several` is its form for many sets of parameters."""

    name: str
    each: Each
    sql: str
    several: str | None
    every: list[Sequence[Any]]
    uses: Uses

    def part(self) -> Part:
        sql = self.several if self.several and len(self.every) > 1 else self.sql
        counted = self.each is Each.CHANGES or not self.uses.written  # nobody executes a question that nobody looks at
        return Part(sql, len(self.every[0]), counted)

    def arguments(self) -> Sequence[Any]:
        return self.every[0] if len(self.every) == 1 else list(zip(*self.every, strict=True))


@lru_cache(maxsize=1024)
def combined(parts: tuple[Part, ...]) -> str:
    """Return the one statement that is several; it gives one row, with how many rows each that is counted has returned."""
    texts, counts, before = [], [], 0
    for place, part in enumerate(parts):
        texts.append(f"s{place} AS ({_shifted(part.sql, before)}\n)")
        if part.counted:
            counts.append(f"(SELECT count(*) FROM s{place}) AS s{place}")  # noqa: S608
        before += part.parameters
    return f"WITH {', '.join(texts)} SELECT {', '.join(counts) or '1'}"


def _shifted(sql: str, by: int) -> str:
    """Return a statement whose first parameter has the number 1 + `by`."""
    return NUMBER.sub(lambda number: f"${int(number[1]) + by}", sql)


def _all_of(names: Sequence[str]) -> frozenset[str]:
    return frozenset(names).union(*(BEHIND.get(name, ()) for name in names))
