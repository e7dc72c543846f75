"""The interface of the store, and the form in which operations and queries are written.

An operation (or a query) is a frozen dataclass whose `steps()` is a generator: it yields a `Statement` and receives its
rows, yields a list of `News` (a `Signal` to have somebody woken, a `Change` to have it counted after the commit), and
returns its result. It does no I/O of its own, so the same code runs on a SQLite file and over PostgreSQL's wire.

An operation that many callers ask for at the same time is written for several at once (`Joint`): the statements of the group
are then as many as those of one.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar

from assay.model.errors import AssayError
from assay.store.changes import Change, Changes
from assay.store.signals import LocalSignals


class Row(Protocol):
    """A row: a mapping of column names, but iterating gives the values, as database drivers have it."""

    def keys(self) -> Iterable[str]: ...
    def __getitem__(self, name: str, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Each(Enum):
    """What is expected of a statement that is executed several times."""

    WRITES = "writes"
    """Nothing in particular."""
    CHANGES = "changes"
    """That each execution changes a row; the operation is undone otherwise."""
    ASKS = "asks"
    """Rows: those of all executions, in their order."""


class Statement(NamedTuple):
    """A named statement of `sql/*.sql`, or SQL composed from such fragments, with its parameters."""

    name: str
    parameters: Mapping[str, Any]
    sql: str = ""
    many: Sequence[Mapping[str, Any]] | None = None
    """Parameters of each of several executions; instead of `parameters`."""
    each: Each = Each.WRITES
    """What is expected of `many`."""


class Signal(NamedTuple):
    """Wake whoever waits for `topic`, once what this operation wrote is durable."""

    topic: str


QUEUE = "queue"
"""Topic: a run is ready to be leased."""

SLOTS = "slots"
"""Topic: a slot has become free, so that quotas may let more through."""


def job_topic(job_id: str) -> str:
    """Return the topic on which changes of a job are announced."""
    return f"job:{job_id}"


EVENTS = "events"
"""Topic: an event was added to the history of some job."""


def log_topic(job_id: str) -> str:
    """Return the topic on which new log lines of a job are announced."""
    return f"log:{job_id}"


def worker_topic(name: str) -> str:
    """Return the topic on which a worker is told that something it holds has been stopped."""
    return f"worker:{name}"


News = Signal | Change
"""What an operation has to say once what it wrote is durable."""
Steps = Generator["Statement | list[News]", list[Row], T]


class Operation(Protocol[T_co]):
    """Something to do (or to ask) in one transaction, all or nothing."""

    def steps(self) -> Steps[T_co]:
        """Yield the statements and return the result; raise AssayError to refuse, which undoes this operation alone."""
        ...


class Joint(Operation[T_co], Protocol[T_co]):
    """An operation of which several are carried out together, as if one after another in an order of their own choice."""

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """What it depends on or changes that another one may depend on: those with a key in common go one after another."""
        ...

    @classmethod
    def together(cls, operations: Sequence[Any], /) -> Steps[Sequence[T_co | AssayError]]:
        """Carry out operations of this class; return the result of each, or the error that refuses it alone.

        Nothing may have been written for one that is refused.
        """
        ...


def alone(operation: Joint[T]) -> Steps[T]:
    """Carry out one operation of a class that is written for several."""
    (result,) = yield from type(operation).together([operation])
    if isinstance(result, AssayError):
        raise result
    return result


class NotChanged(Exception):
    """A row was not in the state in which it had been read; the operation is undone."""


class TooManyStatements(Exception):
    """A query asks for a second statement, so it needs a snapshot that all its statements share."""


def run(name: str, /, **parameters: Any) -> Statement:
    """Return the named statement with its parameters."""
    return Statement(name, parameters)


def run_many(name: str, rows: Sequence[Mapping[str, Any]]) -> Statement:
    """Return the named statement, to be executed once with each of `rows`."""
    return Statement(name, {}, "", rows)


def change_each(name: str, rows: Sequence[Mapping[str, Any]]) -> Statement:
    """Return the named statement, to be executed once with each of `rows`; each time it must change a row (NotChanged)."""
    return Statement(name, {}, "", rows, Each.CHANGES)


def ask_each(name: str, rows: Sequence[Mapping[str, Any]]) -> Statement:
    """Return the named question, to be asked once with each of `rows`; it gives the rows of all answers, in that order."""
    return Statement(name, {}, "", rows, Each.ASKS)


class Connections(NamedTuple):
    """How a store is connected to its database: the kind of database, its name, and the connections of the pool."""

    system: str
    namespace: str
    used: int
    idle: int
    most: int


class Store(Protocol):
    """Where Assay keeps what it must not lose."""

    signals: LocalSignals
    """Wake-ups. They carry no state: whoever wakes looks at the store."""
    changes: Changes
    """What this process has committed, each change once."""

    writes_alone: bool
    """Whether this process makes all changes, so that `generation` costs nothing."""

    identity: str
    """A name of the database that is the same at every server on it; empty where one server has it alone."""

    async def generation(self) -> Hashable:
        """Return a value that changes with every commit: what is read after it is right for as long as it stays."""
        ...

    @property
    def failure(self) -> AssayError | None:
        """What the last attempt to write failed of; None once one has been written."""
        ...

    async def transact(self, operations: Sequence[Operation[Any]], urgent: bool = False) -> list[Any | AssayError]:
        """Carry out each operation, alone in what it may fail of; return their results or errors once all is durable.

        `urgent` operations (heartbeats) go ahead of others that wait. Raises StoreUnavailable when nothing was written.
        """
        ...

    async def apply(self, operation: Operation[T], urgent: bool = False) -> T:
        """Carry out one operation; return its result once it is durable, or raise its error."""
        ...

    async def lookup(self, query: Operation[T]) -> T:
        """Answer a query by primary key: microseconds, without a thread."""
        ...

    async def scan(self, query: Operation[T]) -> T:
        """Answer a list or an aggregate, off the event loop."""
        ...

    async def horizon(self) -> int:
        """Return a sequence number up to which every event is there to be read: none with a lower one is yet to come."""
        ...

    def announce(self, topics: Sequence[str]) -> None:
        """Wake whoever waits for `topics`: here at once, at the other servers on this database within moments.

        For what is not in the database (lines of a log); operations announce what they write themselves.
        """
        ...

    def connections(self) -> Connections:
        """Say how many connections there are at this moment."""
        ...

    async def size(self) -> int:
        """Return the bytes that the database takes."""
        ...

    async def close(self) -> None:
        """Write what waits, then let go of the database."""
        ...
