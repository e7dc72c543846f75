"""What the gate costs a request: microseconds of one core, in process, without a server.

    python -m benchmarks.gate [--calls 200000]

Each line is a kind of caller; the first is what was there before there were keys, a server that asks nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from ipaddress import ip_network

from assay.config.rates import Rate
from assay.model.access import BUILT_IN, LIMITED, Cost
from assay.model.keys import ApiKey
from assay.server.access.bans import Bans
from assay.server.access.gate import Asked, Gate, Rules
from assay.server.access.keyring import Keyring
from assay.server.access.limits import MemoryLimiter
from assay.server.routes import Route
from assay.server.table import ROUTES
from assay.store.keys import CreateKey
from assay.store.sqlite import SqliteStore

_ROUTE = next(route for route in ROUTES if route.name == "getJob")
_ROUNDS = 5


async def _measured(gate: Gate, asked: Callable[[], Asked], route: Route, calls: int) -> float:
    """Return the median over some rounds of the microseconds that a call takes, making the question included."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            await gate.admit(asked(), route, [])
        rounds.append((time.process_time() - began) / calls * 1e6)
    return statistics.median(rounds)


async def _main(calls: int) -> None:
    store = SqliteStore.temporary()
    text = "assay_0123456789ab_" + "5" * 64
    stored = ApiKey(
        "0123456789ab", hashlib.sha256(text.encode()).digest(), "n", "a", "u", ("user",), (), time.time_ns() // 1000, ""
    )
    wide: dict[Cost, Rate] = {cost: Rate(1e9, 10**9) for cost in LIMITED}
    proxies = (ip_network("10.0.0.0/8"),)
    bearer = b"Bearer " + text.encode()

    def gate(rules: Rules, *, limited: bool = False) -> Gate:
        return Gate(rules, Keyring(store, BUILT_IN), MemoryLimiter(wide) if limited else None, Bans(20, 60, 3600), "worker")

    def plain() -> Asked:
        return Asked("192.0.2.1", b"a")

    def keyed() -> Asked:
        return Asked("192.0.2.1", authorization=bearer)

    def proxied() -> Asked:
        return Asked("10.0.0.1", authorization=bearer, forwarded=b"192.0.2.1")

    found = [("no key asked for", await _measured(gate(Rules(False)), plain, _ROUTE, calls))]
    await store.apply(CreateKey(stored, manages=True))
    for name, rules, asked, limited in (
        ("a key", Rules(False), keyed, False),
        ("a key, with rates", Rules(False), keyed, True),
        ("a key, with rates, behind a trusted proxy", Rules(False, (), proxies), proxied, True),
    ):
        found.append((name, await _measured(gate(rules, limited=limited), asked, _ROUTE, calls)))
    await store.close()
    sys.stdout.write("| caller | µs a request |\n|---|---|\n")
    for name, figure in found:
        sys.stdout.write(f"| {name} | {figure:.1f} |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=200_000)
    asyncio.run(_main(parser.parse_args().calls))


if __name__ == "__main__":
    main()
