"""Which operations of a group are carried out together: those of one class that is written for several (`Joint`).

Calls that wait at the same time have no order among themselves, so one whose operations are all of one such class joins
those of the others. The operations of any other call keep their order.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from assay.model.errors import AssayError
from assay.store.base import Joint, Operation, Steps

log = logging.getLogger(__name__)

MOST = 128
"""Most operations that are carried out together: bounds how long one statement keeps the event loop from others."""


class Unit(NamedTuple):
    """Operations that are carried out together, and where the answer of each belongs."""

    operations: list[Operation[Any]]
    places: list[int]

    def steps(self) -> Steps[list[Any | AssayError]]:
        """Carry them out; return the result of each, or the error that refuses it. Raises what refuses a single one."""
        first = self.operations[0]
        if len(self.operations) == 1:
            return [(yield from first.steps())]
        return list((yield from cast(Joint[Any], first).together(self.operations)))

    def broken(self, what: str) -> AssayError:
        """Return the error for a unit that went wrong in a way that nobody foresaw; call where that is being handled."""
        name = type(self.operations[0]).__name__
        if len(self.places) == 1:  # several are tried again one by one, and then it is known which one it was
            log.exception("%s %s", name, what)
        return AssayError(error=f"{name} {what}")


class _Open(NamedTuple):
    """A unit that may take more."""

    unit: Unit
    keys: set[Hashable]


def units(calls: Iterable[Sequence[Operation[Any]]]) -> list[Unit]:
    """Return the operations of all calls in an order in which they may be carried out. Places count over all calls."""
    found: list[Unit] = []
    opened: dict[type, _Open] = {}
    place = 0
    for operations in calls:
        kind = type(operations[0]) if operations else None
        joint = kind is not None and hasattr(kind, "together") and all(type(one) is kind for one in operations)
        for operation in operations:
            if joint:
                _join(opened, found, cast(Joint[Any], operation), place)
            else:
                found.append(Unit([operation], [place]))
            place += 1
    return found


def _join(opened: dict[type, _Open], found: list[Unit], operation: Joint[Any], place: int) -> None:
    known, keys = opened.get(type(operation)), operation.keys
    if known is None or len(known.unit.places) >= MOST or not known.keys.isdisjoint(keys):
        known = opened[type(operation)] = _Open(Unit([], []), set())
        found.append(known.unit)
    known.unit.operations.append(operation)
    known.unit.places.append(place)
    known.keys.update(keys)


def each_alone(calls: Iterable[Sequence[Operation[Any]]]) -> list[Unit]:
    """Return the operations of all calls in their order, none together with another."""
    return [Unit([one], [place]) for place, one in enumerate(one for operations in calls for one in operations)]
