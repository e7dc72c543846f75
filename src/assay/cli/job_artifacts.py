"""`assay jobs artifacts`."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import click

from assay.cli import results, text
from assay.cli.exits import CommandError, say
from assay.cli.given import filled
from assay.cli.jobs import resolve
from assay.cli.settings import Settings, pass_settings, server_options


@click.command()
@server_options
@click.argument("job", callback=filled)
@click.option("--benchmark", "index", type=click.IntRange(min=0), metavar="I", help="Only the benchmark at this index.")
@click.option(
    "--download",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them into DIR/<benchmark index>/.",
)
@pass_settings
def artifacts(settings: Settings, job: str, index: int | None, folder: Path | None) -> None:
    """List what a job has kept (results and samples), or download it. Downloads are checked by digest.

    \b
    Examples:
      assay jobs artifacts last
      assay jobs artifacts last --benchmark 0 --download ./results
    """
    evaluations = settings.evaluations()
    job_id = resolve(evaluations, job)
    names = results.labels(evaluations.get(job_id))
    if index is not None and index >= len(names):
        raise CommandError(f"The job has {len(names)} benchmarks, from index 0; there is none at {index}.")
    found = [
        {"benchmark_index": i, **item}
        for i in ([index] if index is not None else range(len(names)))
        for item in evaluations.artifacts(job_id, i)
    ]
    for item in found if folder else []:
        assert folder is not None
        target = folder / str(item["benchmark_index"]) / _inside(str(item["name"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        evaluations.download(job_id, item["benchmark_index"], item, target)
        say(f"wrote {target}")
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    if not found:
        say("Nothing has been kept (yet).")
        return
    listed = [(names[item["benchmark_index"]], item["name"], text.size(int(item["size"])), item["digest"]) for item in found]
    click.echo(text.table(("BENCHMARK", "NAME", "SIZE", "DIGEST"), listed, frozenset({2})))


def _inside(name: str) -> PurePosixPath:
    """Return the relative path that an artifact's name is; refuse one that leads elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise CommandError(f"The artifact '{name}' has a name that leads out of the folder; it was not written.")
    return path
