"""Writes catalogue folders for servers under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def benchmark(name: str, **members: Any) -> dict[str, Any]:
    """Return a catalogue entry of a benchmark."""
    return {"id": name, "name": name.upper(), "category": "general"} | members


def provider(name: str, command: str = "", *benchmarks: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a provider whose benchmarks are carried out by a shell command (none: cannot be run)."""
    entry = {"id": name, "name": name, "benchmarks": list(benchmarks) or [benchmark("b0"), benchmark("b1")]} | members
    return entry | ({"runtime": {"local": {"command": command}}} if command else {})


def write(folder: Path, *providers: dict[str, Any]) -> Path:
    """Write the providers as a catalogue folder; return it."""
    target = folder / "providers"
    target.mkdir(parents=True, exist_ok=True)
    for entry in providers:
        (target / f"{entry['id']}.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))
    return folder
