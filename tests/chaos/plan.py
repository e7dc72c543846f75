"""Which faults there are, and an endless plan of them that a seed decides: what, to whom, for how long, how far apart."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `weight`: how often, relative to others; `seconds`: how long it lasts, at least and at most."""

    name: str
    weight: float
    seconds: tuple[float, float]
    of: str
    """What it befalls: a server, a worker, the processes below one, the database, a network."""
    ways: Sequence[str] = ("",)


LEASE_S = 4.0
GRACE_S = 1.0
_SHORT, _LONG = (0.2, LEASE_S / 4), (LEASE_S * 1.2, LEASE_S * 1.8)
_HOURS = ("3 h", "-3 h", "0.2 h", "-0.2 h")
_WAYS = ("both", "up", "down")
"""A cut network: nothing gets through, or nothing from the far end (up), or nothing to it (down)."""

KINDS = (
    Kind("kill", 3, (0.0, 2.0), "server"),
    Kind("stop", 2, _SHORT, "server"),
    Kind("stop", 1, _LONG, "server"),
    Kind("clock", 2, (0.5, 4.0), "server", _HOURS),
    Kind("full disk", 1, (0.5, 3.0), "server"),
    Kind("file size", 1, (0.5, 3.0), "server"),
    Kind("kill", 3, (0.0, 2.0), "worker"),
    Kind("stop", 2, _SHORT, "worker"),
    Kind("stop", 1, _LONG, "worker"),
    Kind("clock", 2, (0.5, 4.0), "worker", _HOURS),
    Kind("full disk", 1, (0.5, 3.0), "worker"),
    Kind("file size", 1, (0.5, 3.0), "worker"),
    Kind("cut", 2, _SHORT, "worker", _WAYS),
    Kind("cut", 1, _LONG, "worker", _WAYS),
    Kind("kill", 2, (0.0, 0.0), "host"),
    Kind("stop", 1, _SHORT, "host"),
    Kind("kill", 3, (0.0, 0.0), "engine"),
    Kind("stop", 1, _SHORT, "engine"),
    Kind("stop", 0.5, _LONG, "engine"),
    Kind("kill", 2, (0.0, 0.0), "guard"),
    Kind("stop", 1, _SHORT, "guard"),
    Kind("kill", 2, (0.0, 1.5), "database"),
    Kind("restart", 2, (0.0, 1.5), "database", ("fast", "immediate")),
    Kind("stop", 1, _SHORT, "database"),
    Kind("stop", 1, _LONG, "database"),
    Kind("cut", 2, _SHORT, "store link", (*_WAYS, "reset")),
    Kind("cut", 1, _LONG, "store link", _WAYS),
    Kind("kill", 1, (0.0, 2.0), "redis"),
    Kind("stop", 1, _SHORT, "redis"),
    Kind("flush", 1, (0.0, 0.0), "redis"),
)


@dataclass(frozen=True)
class Fault:
    """One fault of a plan. `target`: whom, `pick`: which of the processes there are then, `gap_s`: after the one before."""

    number: int
    kind: Kind
    target: str
    seconds: float
    way: str
    pick: int
    gap_s: float

    def __str__(self) -> str:
        way = f" ({self.way})" if self.way else ""
        return f"#{self.number} {self.kind.name} {self.kind.of} {self.target}{way}, {self.seconds:.2f} s"


def plan(seed: int, targets: Mapping[str, Sequence[str]], gap_s: float) -> Iterator[Fault]:
    """Yield faults for ever. `targets`: what there is of each sort; `gap_s`: the mean time between two."""
    rng = random.Random(f"faults {seed}")
    kinds = [kind for kind in KINDS if targets.get(kind.of)]
    weights = [kind.weight for kind in kinds]
    number = 0
    while True:
        number += 1
        (kind,) = rng.choices(kinds, weights)
        yield Fault(
            number=number,
            kind=kind,
            target=rng.choice(targets[kind.of]),
            seconds=rng.uniform(*kind.seconds),
            way=rng.choice(kind.ways),
            pick=rng.randrange(1 << 16),
            gap_s=rng.uniform(0.2, 1.8) * gap_s,
        )
