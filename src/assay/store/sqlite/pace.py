"""Whether a disk is quick enough to be waited for on the event loop.

Giving a COMMIT to a thread and hearing of its end takes two wake-ups, which cost more processor time than everything else
that a small change needs, and often more time than a disk that has a write cache. On such a disk the event loop commits
itself. A disk that has been slow lately is waited for in the thread, as one is that nothing is known of.
"""

from __future__ import annotations

from collections import deque

QUICK_S = 0.001
"""Seconds that the event loop may stand still for a commit."""

_LATELY = 64
"""Commits that are remembered."""

_SLOW_S = 0.004
"""One commit that took longer has all of these looked at in the thread."""


class Pace:
    """How long commits have taken lately."""

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=_LATELY)
        self._sum = 0.0
        self._slow = 0

    def note(self, seconds: float) -> None:
        """Remember how long a commit took."""
        if len(self._lately) == _LATELY:
            first = self._lately[0]
            self._sum -= first
            self._slow -= first > _SLOW_S
        self._lately.append(seconds)
        self._sum += seconds
        self._slow += seconds > _SLOW_S

    @property
    def quick(self) -> bool:
        """Whether commits are to be made on the event loop."""
        known = len(self._lately)
        return known == _LATELY and not self._slow and self._sum <= QUICK_S * known
