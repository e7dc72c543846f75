"""YAML that people write: whatever is wrong with it is one kind of error."""

from __future__ import annotations

from typing import Any

import yaml


def parsed(text: str | bytes, loader: Any = yaml.SafeLoader) -> Any:
    """Return the value of a YAML document. `loader` is a safe one.

    Raises yaml.YAMLError, also for what looks like a value and is none (the date 2024-99-99), and for what is nested too
    deeply: of those the library raises whatever Python does.
    """
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise yaml.YAMLError(f"a value in it is none: {error}") from error
