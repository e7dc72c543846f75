"""The logs of runs, as files of the server: one for each attempt, lines framed with a time stamp.

A line is kept as `<milliseconds since 1970> <text>`. Workers append at an offset that they name, so a repeated call changes
nothing. Old lines never change.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from assay.artifacts.disk import writing
from assay.artifacts.log_folders import LogFolders

_CHUNK = 1 << 16
_STAMP_DIGITS: Final = 14
"""Most digits of a time stamp, which last until the year 5138; a longer number is no time."""


class LogFiles:
    """A folder of logs, one folder a job."""

    def __init__(self, folders: LogFolders, limit: int) -> None:
        self.folders = folders
        self._root = folders.root
        self.limit = limit
        """Most bytes of one attempt's log, frames included."""

    def append(self, job_id: str, index: int, attempt: int, offset: int, data: bytes) -> int:
        """Write `data` at `offset` unless it is there already; return the size of the log then.

        A gap is refused by returning the present size, from which the worker goes on. Raises FolderUnavailable; what of the
        data was written by then need not be sent again.
        """
        path = self._path(job_id, index, attempt)
        with writing(self._root):
            path.parent.mkdir(parents=True, exist_ok=True)
            return self._append(path, offset, data)

    def _append(self, path: Path, offset: int, data: bytes) -> int:
        with path.open("ab") as file:
            size = file.tell()
            if offset > size:
                return size
            fresh = data[size - offset :][: max(0, self.limit - size)]
            file.write(fresh)
            return size + len(fresh)

    def attempts(self, job_id: str, index: int) -> list[Path]:
        """Return the files of a run, first attempt first."""
        found = (self._root / job_id).glob(f"{index}.*.log")
        return sorted(found, key=lambda path: int(path.name.split(".")[1]))

    def read(
        self, job_id: str, index: int, *, tail: int = -1, timestamps: bool = False, since_ms: int = 0
    ) -> Iterator[bytes]:
        """Yield the log of a run as text, in pieces: the last `tail` lines (-1: all) at or after `since_ms`."""
        files = self.attempts(job_id, index)
        chosen = _last_lines(files, tail) if tail >= 0 else [(path, 0) for path in files]
        for path, start in chosen:
            with path.open("rb") as file:
                file.seek(start)
                while lines := file.readlines(_CHUNK):
                    yield b"".join(show(line, timestamps, since_ms) for line in lines)

    def _path(self, job_id: str, index: int, attempt: int) -> Path:
        return self._root / job_id / f"{index}.{attempt}.log"


class Follower:
    """Reads what is appended to the log of a run, attempt after attempt."""

    def __init__(self, logs: LogFiles, job_id: str, index: int, timestamps: bool) -> None:
        self._logs, self._job_id, self._index, self._timestamps = logs, job_id, index, timestamps
        self._read: dict[Path, int] = {}

    def skip_to_tail(self, tail: int) -> None:
        """Begin at the last `tail` lines (-1: at the beginning)."""
        files = self._logs.attempts(self._job_id, self._index)
        if tail >= 0:
            self._read = {path: path.stat().st_size for path in files} | dict(_last_lines(files, tail))

    def fresh(self) -> bytes:
        """Return the complete lines that have come since the last call."""
        out = []
        for path in self._logs.attempts(self._job_id, self._index):
            start = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read[path] = start + len(whole)
            out += [show(line, self._timestamps) for line in whole.splitlines(keepends=True)]
        return b"".join(out)


def show(line: bytes, timestamps: bool = False, since_ms: int = 0) -> bytes:
    """Return a kept line as a reader sees it: bare, or with its time; nothing if it is older than `since_ms`."""
    stamp, space, text = line.partition(b" ")
    if not space or not stamp.isdigit() or len(stamp) > _STAMP_DIGITS:
        return line
    if since_ms and int(stamp) < since_ms:
        return b""
    if not timestamps:
        return text
    at = datetime.datetime.fromtimestamp(int(stamp) / 1000, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{int(stamp) % 1000:03d}Z ".encode() + text


def _last_lines(files: list[Path], tail: int) -> list[tuple[Path, int]]:
    """Return from where in which files the last `tail` lines begin."""
    chosen: list[tuple[Path, int]] = []
    for path in reversed(files):
        if tail <= 0:
            break
        start, found = _start_of_tail(path, tail)
        tail -= found
        chosen.insert(0, (path, start))
    return chosen


def _start_of_tail(path: Path, tail: int) -> tuple[int, int]:
    """Return where the last `tail` lines of a file begin, and how many there are. Reads from the end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position, found, rest = end, 0, b""
        while position:
            step = min(_CHUNK, position)
            position -= step
            file.seek(position)
            block = file.read(step) + rest
            starts = [i + 1 for i in range(len(block) - 1) if block[i] == 10]
            if found + len(starts) >= tail:
                return position + starts[len(starts) - (tail - found)], tail
            found += len(starts)
            cut = starts[0] if starts else len(block)
            rest = block[:cut]
        return 0, found + bool(end)
