"""Checks of what options and arguments are given, where click has none: callbacks for it."""

from __future__ import annotations

import math
from typing import TypeVar

import click

V = TypeVar("V", str, "str | None", tuple[str, ...])


def filled(ctx: click.Context, param: click.Parameter, value: V) -> V:
    """Refuse an empty name or id, which would make another address of the API."""
    if value is not None and "" in ((value,) if isinstance(value, str) else value):
        raise click.BadParameter("it is empty; is a variable of your shell not set?")
    return value


def finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what JSON has no number for."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number with an end; write one such as 0.8.")
    return value
