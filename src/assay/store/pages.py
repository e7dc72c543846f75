"""Pages of jobs: filters, order and totals, each answered from an index.

Of the filters in a request the most selective leads: it has an index in the order of the page, and one branch for each of
its values. The others only restrict. So a page costs what it shows, however many jobs there are. How many jobs there are in
each state is kept by the database, so where nothing but the state matters a page is read from the nearer end; other totals
are counted, those of a negated filter by counting what it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from assay.model.records import Job, Run
from assay.model.states import JobState
from assay.store.base import Row, Statement, Steps, run
from assay.store.rows import job_of, run_of
from assay.store.statements import statements


@dataclass(frozen=True)
class Match:
    """What a column must equal: one of `any_of`, every one of `all_of` (lists only), none of `none_of`. Empty: no matter."""

    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobFilter:
    """Which jobs of a tenant. Keys of `matches`: name, tag, owner, experiment, state, model, collection.

    `since` and `before` are identifiers: ids are made in the order of time, so they bound the time of creation.
    """

    tenant: str
    matches: dict[str, Match] = field(default_factory=dict)
    since: str = ""
    before: str = ""

    @property
    def states(self) -> tuple[str, ...] | None:
        """The states that are meant, where nothing but the state matters; else None."""
        match = self.matches.get("state", Match())
        if self.since or self.before or self.matches.keys() - {"state"} or match.all_of or match.none_of:
            return None
        return match.any_of or tuple(JobState)

    def positive(self) -> JobFilter:
        """Return the same filter with the states that are meant in place of those that are not."""
        match = self.matches.get("state")
        if match is None or match.all_of or not match.none_of:
            return self
        wanted = tuple(state for state in match.any_of or JobState if state not in match.none_of)
        return replace(self, matches={**self.matches, "state": Match(any_of=wanted or ("",))})


_ALL = 1 << 62

_MOST_VALUES = 20
"""Most values that a filter compares one by one: more are a list of their own, which costs more for each job."""

_IN_INDEX = ("owner", "state")
"""Columns that are looked up in an index where nothing else of a job is asked for: its row is many times as large."""

_MOST_COUNTED = 20_000
"""Most jobs of a tag that are counted to find the rarest of several."""

_FAR = 1000
"""Offset from which it is worth asking how many jobs there are, to read a page from the nearer end."""

_BRIEF = 200
"""Characters of a text: with fewer an index holds all of it, also PostgreSQL's of names."""

_BY_SELECTIVITY = ("name", "tag", "experiment", "collection", "model", "owner", "state")


@dataclass(frozen=True)
class PageVersions:
    """The (id, version) of each job on a page, newest first, and the number of jobs in all. `limit` 0: no limit.

    `total`: the number of jobs, where it is known or of no interest; else they are counted.
    """

    where: JobFilter
    limit: int
    offset: int
    total: int | None = None

    def steps(self) -> Steps[tuple[list[tuple[str, int]], int]]:
        where = yield from _rarest_first(self.where.positive())
        total = None
        if self.limit and self.offset >= _FAR and where.states is not None:
            # Counted even if it is known: it must be of the same moment as the page.
            total = yield from _count(where)
        limit, offset, oldest_first = self._window(total)
        query = _compose(where, oldest_first)
        page = {**query.parameters, "window": limit + offset, "limit": limit, "offset": offset}
        rows = yield Statement("page", page, query.page)
        if total is None:
            total = self._total(len(rows))
        if total is None:
            total = yield from _count(where)
        return [(row["id"], row["version"]) for row in rows], total

    def _window(self, total: int | None) -> tuple[int, int, bool]:
        """Return limit and offset from the nearer end, and whether that is the oldest job; without a total it is not."""
        limit = self.limit or _ALL
        if total is None or self.offset <= total // 2:
            return limit, self.offset, False
        limit = max(0, min(limit, total - self.offset))
        return limit, max(0, total - self.offset - limit), True

    def _total(self, shown: int) -> int | None:
        """Return the number of jobs where it is known, or where the page is the last one; else None."""
        if self.total is not None:
            return self.total
        is_last = shown < (self.limit or _ALL) and (shown or not self.offset)
        return self.offset + shown if is_last else None


def _rarest_first(where: JobFilter) -> Steps[JobFilter]:
    """Return the same filter with the rarest of the tags that all must be there in front: it leads."""
    match = where.matches.get("tag")
    if match is None or len(match.all_of) < 2:
        return where
    rarest, least = match.all_of[0], _MOST_COUNTED
    for tag in match.all_of:
        (row,) = yield run("size_of_tag", tenant=where.tenant, tag=tag, most=least)
        if row["n"] < least:
            rarest, least = tag, row["n"]
    tags = (rarest, *(tag for tag in match.all_of if tag != rarest))
    return replace(where, matches={**where.matches, "tag": replace(match, all_of=tags)})


def _count(where: JobFilter) -> Steps[int]:
    """Return how many jobs a filter finds."""
    if where.states is not None:
        states = msgspec.json.encode(where.states).decode()
        (row,) = yield run("count_jobs_in", tenant=where.tenant, states=states)
        return row["n"]  # type: ignore[no-any-return]
    for column, match in where.matches.items():
        # The indexes of columns that are mostly empty leave the empty text out.
        if match.none_of and "" not in match.none_of and not (match.any_of or match.all_of):
            others = {name: other for name, other in where.matches.items() if name != column}
            left_out = {**others, column: Match(any_of=match.none_of)}
            all_of_them = yield from _count(replace(where, matches=others))
            return all_of_them - (yield from _count(replace(where, matches=left_out)))
    query = _compose(where)
    (row,) = yield Statement("count", query.parameters, query.count)
    return row["n"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class JobsWithRuns:
    """Jobs by id, in the order of the ids, each with its runs in the order of their index. Unknown ids are left out."""

    ids: tuple[str, ...]

    def steps(self) -> Steps[list[tuple[Job, list[Run]]]]:
        ids = msgspec.json.encode(self.ids).decode()
        jobs: dict[str, Row] = {row["id"]: row for row in (yield run("jobs_of_page", ids=ids))}
        runs: dict[str, list[Run]] = {}
        for row in (yield run("runs_of_jobs", ids=ids)):
            runs.setdefault(row["job_id"], []).append(run_of(row))
        return [(job_of(jobs[id_]), runs.get(id_, [])) for id_ in self.ids if id_ in jobs]


@dataclass(frozen=True)
class JobsAlone:
    """Jobs by id, in the order of the ids, without what was posted (`spec` is empty). Unknown ids are left out."""

    ids: tuple[str, ...]

    def steps(self) -> Steps[list[Job]]:
        rows = yield run("jobs_alone", ids=msgspec.json.encode(self.ids).decode())
        jobs = {row["id"]: job_of((*row, b"")) for row in rows}
        return [jobs[id_] for id_ in self.ids if id_ in jobs]


@dataclass(frozen=True)
class _Composed:
    page: str
    count: str
    parameters: dict[str, Any]


def _compose(where: JobFilter, oldest_first: bool = False) -> _Composed:
    """Return the SQL of a page, counted from the newest or the oldest job, and of its total."""
    sql = statements()
    parameters: dict[str, Any] = {"tenant": where.tenant}
    conditions: list[str] = []

    def restrict(column: str, values: tuple[str, ...], negated: bool = False) -> None:
        name = f"values_{len(parameters)}"
        each = {f"{name}_{i}": value for i, value in enumerate(values)}
        if len(values) > _MOST_VALUES:
            parameters[name] = msgspec.json.encode(values).decode()
            listed = f"SELECT value FROM json_each(:{name})"
        else:
            parameters.update(each)
            listed = ", ".join(f":{one}" for one in each)
        condition = sql[f"only_{column}"].replace(":values", listed)
        if column == leading == "tag" and len(values) <= _MOST_VALUES:
            parameters.update({f"{one}_between": f",{value}," for one, value in each.items()})
            found = " OR ".join(f"instr(t.all_tags, :{one}_between) > 0" for one in each)
            condition = sql["only_other_tag"].replace("{only_tag}", condition).replace("{found}", found)
        conditions.append(f"NOT ({condition})" if negated else f"({condition})")

    leading, leads = _leading(where)
    branch, id_, others = _branch(where, leading)
    for column, match in where.matches.items():
        all_of, any_of = match.all_of, match.any_of
        if column == leading:
            all_of, any_of = (all_of[1:], any_of) if all_of else ((), ())
        for value in all_of:
            restrict(column, (value,))
        if any_of:
            restrict(column, any_of)
        if match.none_of:
            restrict(column, match.none_of, negated=True)

    for bound in ("since", "before"):
        if value := getattr(where, bound):
            parameters[bound] = value
            conditions.append(sql[f"only_{bound}"])

    restricted = " AND ".join([branch, *conditions]).replace("{id}", id_).replace("{others}", others)
    branches = [] if leads else [restricted]
    for i, value in enumerate(leads):
        lead = f"brief_{i}" if len(value) < _BRIEF else f"lead_{i}"
        parameters[lead] = value
        branches.append(restricted.replace(":lead", f":{lead}"))
    ids, order = branches[0], "ORDER BY id ASC" if oldest_first else "ORDER BY id DESC"
    if len(branches) > 1:
        ids = " UNION ".join(f"SELECT id FROM ({one} {order} LIMIT :window) b" for one in branches)
    ids += f" {order} LIMIT :limit OFFSET :offset"
    page = sql["page"].replace(":ids", ids)
    count = f"SELECT count(*) AS n FROM ({' UNION '.join(branches)}) b"
    return _Composed(page, count, parameters)


def _branch(where: JobFilter, leading: str) -> tuple[str, str, str]:
    """Return how a branch begins, what the id of a job is called in it, and where the columns that restrict are found."""
    sql, rest = statements(), where.matches.keys() - {leading, "tag"}
    if len(rest) > 1 or any(column not in _IN_INDEX or not where.matches[column].any_of for column in rest):
        return sql[f"branch_{leading}"], "j.id", "j"
    branch, id_ = (sql["branch_tag_only"], "t.job_id") if leading == "tag" else (sql[f"branch_{leading}"], "j.id")
    for column in rest:
        return branch.replace("WHERE", f"{sql[f'look_{column}']} WHERE", 1), id_, "k"
    return branch, id_, "j"


def _leading(where: JobFilter) -> tuple[str, tuple[str, ...]]:
    """Return the column that leads and the values that its branches take."""
    for column in _BY_SELECTIVITY:
        match = where.matches.get(column)
        if match and match.all_of:
            return column, match.all_of[:1]
        if match and match.any_of:
            return column, tuple(dict.fromkeys(match.any_of))
    return "tenant", ()
