"""`assay jobs logs`."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator, Sequence

import click

from assay.cli import results
from assay.cli.given import filled
from assay.cli.jobs import resolve
from assay.cli.settings import Settings, pass_settings, server_options
from assay.client.errors import ClientError
from assay.client.evaluations import Evaluations


@click.command()
@server_options
@click.argument("job", callback=filled)
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job has ended.")
@click.option(
    "--benchmark",
    "index",
    type=click.IntRange(min=0),
    metavar="I",
    help="Only the benchmark at this index, from 0.",
)
@click.option(
    "--tail",
    default=1000,
    show_default=True,
    type=click.IntRange(-1, 10000),
    metavar="N",
    help="At most this many last lines of each benchmark; -1 is all.",
)
@click.option("--timestamps", is_flag=True, help="Begin each line with the time when it was written.")
@pass_settings
def logs(settings: Settings, job: str, follow: bool, index: int | None, tail: int, timestamps: bool) -> None:
    """Print what the runs of a job have written. With --json each line is an object.

    Several benchmarks are printed one after another; while they are followed their lines come as they are
    written, each with the name of its benchmark.

    \b
    Examples:
      assay jobs logs last
      assay jobs logs last -f --timestamps
      assay jobs logs last --benchmark 1 --tail 50
    """
    if tail == 0:
        raise click.UsageError("--tail 0 shows nothing: give a number of lines, or -1 for all.")
    evaluations = settings.evaluations()
    job_id = resolve(evaluations, job)
    sink = _Lines() if settings.json else _Raw()
    if follow:
        names = results.labels(evaluations.get(job_id))
        indexes = list(range(len(names))) if index is None else [index]
        chunks = _followed(evaluations, job_id, indexes, names, tail, timestamps)
    else:
        chunks = evaluations.logs(job_id, index, tail=tail, timestamps=timestamps)
    for chunk in chunks:
        sink.write(chunk)
    sink.close()


def _followed(
    evaluations: Evaluations,
    job_id: str,
    indexes: Sequence[int],
    names: Sequence[str],
    tail: int,
    timestamps: bool,
) -> Iterator[bytes]:
    """Yield what the benchmarks write as it comes; lines of several begin with their benchmark's name."""
    if len(indexes) == 1:
        yield from evaluations.logs(job_id, indexes[0], tail=tail, timestamps=timestamps, follow=True)
        return
    arrived: queue.Queue[bytes | ClientError | None] = queue.Queue(maxsize=1000)

    def read(index: int) -> None:
        start, rest = f"[{names[index]}] ".encode(), b""
        try:
            for chunk in evaluations.logs(job_id, index, tail=tail, timestamps=timestamps, follow=True):
                *lines, rest = (rest + chunk).split(b"\n")
                if lines:
                    arrived.put(b"".join(start + line + b"\n" for line in lines))
            if rest:
                arrived.put(start + rest + b"\n")
            arrived.put(None)
        except ClientError as error:
            arrived.put(error)

    for index in indexes:
        threading.Thread(target=read, args=(index,), daemon=True).start()
    open_ = len(indexes)
    while open_:
        got = arrived.get()
        if isinstance(got, ClientError):
            raise got
        if got is None:
            open_ -= 1
        else:
            yield got


class _Raw:
    """Bytes as they come; a last line without an end gets one."""

    def __init__(self) -> None:
        self._last = b"\n"

    def write(self, chunk: bytes) -> None:
        """Print a piece of log."""
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        self._last = chunk[-1:] or self._last

    def close(self) -> None:
        """End the last line."""
        if self._last != b"\n":
            self.write(b"\n")


class _Lines(_Raw):
    """One JSON object a line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""

    def write(self, chunk: bytes) -> None:
        """Print the lines that are whole."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            super().write(json.dumps({"line": line.decode(errors="replace")}).encode() + b"\n")

    def close(self) -> None:
        """Print the last line, which has no end."""
        if self._rest:
            self.write(b"\n")
