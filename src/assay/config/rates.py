"""The setting `rate_limits`: a rate and a burst for each cost class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from assay.model.access import LIMITED, Cost

_ENTRY = re.compile(r"([a-z]+)=(\d+(?:\.\d+)?)/(\d+)")


class Rate(NamedTuple):
    """Calls per second in the long run, and how many may come at once."""

    per_second: float
    burst: int


DEFAULT_RATES: Final[Mapping[Cost, Rate]] = {
    Cost.READ: Rate(100, 200),
    Cost.LIST: Rate(20, 60),
    Cost.WRITE: Rate(20, 60),
    Cost.SUBMIT: Rate(10, 100),
    Cost.STREAM: Rate(5, 50),
}


@dataclass(frozen=True)
class RateLimits:
    """What the setting says. `rates` None: the default, which is no limit on loopback and `DEFAULT_RATES` elsewhere."""

    text: str
    rates: Mapping[Cost, Rate] | None

    def __str__(self) -> str:
        return self.text

    def in_force(self, loopback: bool) -> Mapping[Cost, Rate]:
        """Return the rates of a server that listens on loopback, or not."""
        if self.rates is not None:
            return self.rates
        return {} if loopback else DEFAULT_RATES


def rate_limits(text: str) -> RateLimits:
    """Read `on`, `off`, nothing, or `read=100/200, submit=5/20`: calls per second and burst, of the classes that differ from
    the default.
    """
    if text in ("", "off", "on"):
        return RateLimits(text, {"": None, "off": {}, "on": DEFAULT_RATES}[text])
    rates = dict(DEFAULT_RATES)
    for part in text.split(","):
        match = _ENTRY.fullmatch(part.strip())
        if match is None or match[1] not in LIMITED or not float(match[2]) or not int(match[3]):
            classes = ", ".join(LIMITED)
            raise ValueError(
                f"'{part.strip()}' is no limit: write CLASS=RATE/BURST, both more than 0, such as read=100/200; classes "
                f"are {classes}. Or write on, or off"
            )
        rates[Cost(match[1])] = Rate(float(match[2]), int(match[3]))
    return RateLimits(text, rates)
