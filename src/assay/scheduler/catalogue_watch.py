"""The catalogue's folders while a server runs: a file that changes replaces its entries.

The folders are looked at, not subscribed to: two looks a second at a few dozen files cost next to nothing, and they also see
what the kernel does not report, such as changes on network file systems and the swapped links of mounted ConfigMaps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from assay.model.errors import CatalogueInvalid
from assay.scheduler.catalogue import KINDS, Catalogue, load
from assay.scheduler.offerings import Offerings

log = logging.getLogger(__name__)

_PERIOD_S = 0.5
"""Time between two looks, and how long a folder must have been quiet before it is read."""

_Look = frozenset[tuple[str, int, int, int]]


class CatalogueWatch:
    """The folders that a user named; the built-in one changes only with the program."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._read_at: _Look = frozenset()

    def read(self) -> Catalogue:
        """Read the catalogue. Raises CatalogueInvalid."""
        self._read_at = self._look()  # before it is read: what changes meanwhile is read again
        return load(self._folders)

    async def follow(self, offerings: Offerings, period_s: float = _PERIOD_S) -> None:
        """Read the catalogue anew whenever its files have changed and been quiet for a period, for ever.

        While one of them is invalid everything stays as it was.
        """
        if not self._folders:
            return
        last = self._read_at
        while True:
            await asyncio.sleep(period_s)
            seen = await asyncio.to_thread(self._look)
            if seen == last and seen != self._read_at:
                await self._replace(offerings)
            last = seen

    async def _replace(self, offerings: Offerings) -> None:
        try:
            changes = offerings.change(await asyncio.to_thread(self.read))
        except CatalogueInvalid as error:
            log.error("the catalogue stays as it was: %s", error.message)
        except Exception:
            log.exception("the catalogue stays as it was")
        else:
            log.info("the catalogue was read anew: %d entries came, changed or went", changes)

    def _look(self) -> _Look:
        found = set()
        for folder in self._folders:
            for kind in KINDS:
                for path in (folder / f"{kind}s").glob("*.yaml"):
                    try:
                        status = path.stat()
                    except OSError:  # it went between two steps
                        continue
                    found.add((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return frozenset(found)
