"""Rendered documents as bytes, cached by version.

A job's document changes only when its version does, and a page only when something is written, so a cached one is right as
long as the version that the store has is the same. A cache is bounded by size and forgets what was used longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

_ENTRY = 300
"""Bytes of memory that an entry takes beside the text of its key and its document, about."""


class Documents:
    """Rendered documents by key, each of a version of its own. `limit`: bytes of memory."""

    def __init__(self, limit: int = 48 << 20) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[Hashable, bytes]] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes of memory that is taken, about."""
        return self._size

    def keeps(self, key: str) -> bool:
        """Return whether there is a document, of whatever version."""
        return key in self._kept

    def get(self, key: str, version: Hashable) -> bytes | None:
        """Return the document at `version`, if it is kept."""
        kept = self._kept.get(key)
        if kept is None or kept[0] != version:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: str, version: Hashable, document: bytes) -> bytes:
        """Keep a document; return it."""
        if len(document) > self._limit // 16:
            return document
        replaced = self._kept.get(key)
        self._size += len(document) - len(replaced[1]) if replaced else _cost(key, document)
        self._kept[key] = (version, document)
        self._kept.move_to_end(key)
        while self._size > self._limit:
            oldest, (_, dropped) = self._kept.popitem(last=False)
            self._size -= _cost(oldest, dropped)
        return document

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._size = 0


class Pages(Documents):
    """What is right until something is written; the first that is put of another generation of the store drops the rest."""

    _generation: Hashable = None

    def put(self, key: str, version: Hashable, document: bytes) -> bytes:
        """Keep what is right in the generation `version`; return it."""
        if version != self._generation:
            self.clear()
            self._generation = version
        return super().put(key, version, document)


def _cost(key: str, document: bytes) -> int:
    return len(key) + len(document) + _ENTRY
