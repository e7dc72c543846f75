"""Checks local JSON and JSON Lines data before a library sees it, to name the file and the line of a mistake.

Uses the standard library alone: the driver runs it inside the engine's environment, the preflight runs it in
the server. What the `datasets` library reads is accepted: an object a line, several on one line, objects over
several lines, blank lines, a list of objects, or a list under `field`.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

LOCAL_FORMATS = frozenset({"json", "csv", "parquet", "text", "arrow", "xml", "imagefolder", "audiofolder"})
"""Values of `dataset_path` that name a file format rather than a data set."""

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
_PLAIN = frozenset({".json", ".jsonl", ".ndjson", ".txt", ""})


class BadData(Exception):
    """A data file is not usable; `line` counts from 1 and is None where no single line is to blame."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{where}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem


def readable(path: Path) -> bool:
    """Whether the file is plain text that `count_objects` can check, rather than compressed."""
    return path.suffix.lower() in _PLAIN


def count_objects(path: Path, field: str | None = None) -> int:
    """Return how many objects the file holds. Raises BadData for the first thing wrong in it, OSError if
    it cannot be read.
    """
    with path.open("rb") as stream:
        if field is not None or _starts_with_list(stream):
            return _whole(path, stream.read(), field)
        count = sum(1 for _ in _objects(path, stream))
    if not count:
        raise BadData(path, None, "the file holds no samples")
    return count


def local_files(data_files: Any, data_dir: Any = None) -> Iterator[Path]:
    """Yield the paths in a `data_files` value: a text, a list, or a mapping from split to either. Patterns
    are expanded.
    """
    if isinstance(data_files, dict):
        for value in data_files.values():
            yield from local_files(value, data_dir)
    elif isinstance(data_files, list | tuple):
        for value in data_files:
            yield from local_files(value, data_dir)
    elif isinstance(data_files, str) and "://" not in data_files:
        path = Path(data_dir, data_files) if data_dir else Path(data_files)
        if glob.has_magic(str(path)):
            yield from (Path(found) for found in sorted(glob.glob(str(path), recursive=True)))
        else:
            yield path


def _starts_with_list(stream: BinaryIO) -> bool:
    start = stream.read(4096).decode("utf-8-sig", "replace").lstrip(_SPACE)
    stream.seek(0)
    return start.startswith("[")


def _whole(path: Path, content: bytes, field: str | None) -> int:
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadData(path, content.count(b"\n", 0, error.start) + 1, "the text is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadData(path, error.lineno, f"this is not valid JSON ({error.msg}, column {error.colno})") from error
    if field is not None:
        if not isinstance(value, dict) or field not in value:
            raise BadData(path, None, f"the document has no member '{field}'")
        value = value[field]
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise BadData(path, None, f"item {number} of the list is {_kind(row)}, not an object")
    if not rows:
        raise BadData(path, None, "the file holds no samples")
    return len(rows)


def _objects(path: Path, stream: BinaryIO) -> Iterator[dict[str, Any]]:
    encoding = "utf-8-sig"
    for number, raw in enumerate(stream, 1):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            raise BadData(path, number, "the text is not UTF-8") from error
        encoding = "utf-8"
        try:
            values = list(_values(text))
        except json.JSONDecodeError as error:
            try:
                # An object may go on over the next lines; then everything from here on must be whole.
                values = list(_values(text + stream.read().decode("utf-8")))
            except (json.JSONDecodeError, UnicodeDecodeError):
                problem = f"this line is not valid JSON ({error.msg}, column {error.colno})"
                raise BadData(path, number, problem) from error
        for value in values:
            if not isinstance(value, dict):
                raise BadData(path, number, f"this line holds {_kind(value)}, not an object")
            yield value


def _values(text: str) -> Iterator[Any]:
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at >= len(text):
            return
        value, at = _DECODER.raw_decode(text, at)
        yield value


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null" if value is None else "an object")
