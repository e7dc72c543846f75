"""What a run asks of the worker that carries it out, and what a worker has to offer.

A run goes only to a worker that has all of the run's labels, each with the run's value, and enough free GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from assay.model.shapes import Failure, Integer, Member, Object, TextMap

MOST_LABELS: Final = 64
"""Of one worker, or of one selector."""

MOST_GPUS: Final = 1024
"""That a run can ask for: more than any machine has, and so than any worker can offer."""

_KEY: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_RULE: Final = (
    "a key has 1 to 63 letters, digits, dots, dashes, underscores and slashes, a value up to 63 without slashes; both begin "
    "and end with a letter or digit"
)


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run asks for: a number of GPUs of its own, and labels that its worker must have."""

    gpus: int = 0
    labels: dict[str, str] = {}


def problem(labels: Mapping[str, str]) -> str:
    """Say what is wrong with labels; empty where nothing is."""
    if len(labels) > MOST_LABELS:
        return f"there are {len(labels)} labels, and {MOST_LABELS} are the most"
    wrong = next((key for key, value in labels.items() if not (_KEY.fullmatch(key) and _VALUE.fullmatch(value))), None)
    return "" if wrong is None else f"'{wrong[:100]}={labels[wrong][:100]}' is no label: {_RULE}"


def asked(bodies: Iterable[Mapping[str, Any]]) -> Resources | None:
    """Return what several `resources` come to, None for nothing.

    The number of GPUs is that of the first that has one; the labels are those of all, and the first that has a key gives
    its value.
    """
    gpus: int | None = None
    labels: dict[str, str] = {}
    for body in bodies:
        gpus = body.get("gpus") if gpus is None else gpus
        labels = body.get("labels", {}) | labels
    return Resources(gpus or 0, dict(sorted(labels.items()))) if gpus or labels else None


def _labels(value: dict[str, Any]) -> list[Failure]:
    wrong = problem(value.get("labels", {}))
    return [Failure("labels", "labels", "label", f"resources.labels: {wrong}")] if wrong else []


class _Selector(TextMap):
    """Labels, as the API's description shows them."""

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {
            "type": "object",
            "maxProperties": MOST_LABELS,
            "propertyNames": {"pattern": f"^{_KEY.pattern}$"},
            "additionalProperties": {"type": "string", "pattern": f"^{_VALUE.pattern}$"},
        }


class _Gpus(Integer):
    """A number of GPUs."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> int:
        count = super().read(value, path, failures)
        if count > MOST_GPUS:
            failures.append(Failure(path, "gpus", "max", f"{path} must be {MOST_GPUS} at the most: no worker has more GPUs"))
        return count

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return super().schema(written=written) | {"maximum": MOST_GPUS}


RESOURCES: Final = Object((Member("gpus", _Gpus(least=0), zero=True), Member("labels", _Selector())), (_labels,))
"""`resources` of a benchmark, a job or a provider."""
