"""`assay eval`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from assay.cli import submission
from assay.cli.exits import CommandError, Exit, say
from assay.cli.given import finite
from assay.cli.settings import Settings, pass_settings, server_options
from assay.client.errors import ServerError
from assay.client.evaluations import identity


@click.command("eval")
@server_options
@click.argument("benchmarks", nargs=-1, metavar="[PROVIDER/BENCHMARK]...")
@click.option(
    "--model-url",
    envvar="ASSAY_MODEL_URL",
    metavar="URL",
    help="Base URL of the model's endpoint, ending in /v1.",
)
@click.option(
    "--model-name",
    envvar="ASSAY_MODEL_NAME",
    metavar="NAME",
    help="The model's name there (default: the only one that it lists).",
)
@click.option(
    "--secret",
    metavar="NAME",
    help="Name, or file:///path URL, of the model's API key. The worker reads it, on its machine.",
)
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Any lm_eval task or group; may be repeated.")
@click.option(
    "--include-path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With --task: folder of your own task files, on the server's machine.",
)
@click.option("--endpoint", type=click.Choice(["chat", "completions"]), help="With --task: which API the task asks.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="JOB",
    help="Take the submission from a YAML or JSON file.",
)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="Parameter of every benchmark, as JSON or text.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples of each benchmark.")
@click.option("--metric", metavar="NAME", help="The metric that is held against the threshold.")
@click.option("--lower-is-better", is_flag=True, help="With --metric: pass at or below the threshold.")
@click.option(
    "--threshold",
    type=float,
    callback=finite,
    metavar="X",
    help="Pass at X or better, in place of the benchmarks' own thresholds.",
)
@click.option("--name", help="Name of the job (default: its benchmarks).")
@click.option("--tag", "tags", multiple=True, help="Tag of the job; may be repeated.")
@click.option(
    "--run-timeout",
    type=click.FloatRange(min=1),
    callback=finite,
    metavar="S",
    help="Longest time of each benchmark, in seconds.",
)
@click.option("--no-follow", is_flag=True, help="Submit, print the id and leave.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    metavar="S",
    help="Watch at most so many seconds; the job goes on.",
)
@click.option("--cancel-on-interrupt", is_flag=True, help="Cancel the job on Ctrl-C, and when --timeout is over.")
@click.option("--no-check", is_flag=True, help="Do not look whether the model answers before submitting.")
@pass_settings
def evaluate(
    settings: Settings,
    file: Path | None,
    params: tuple[str, ...],
    no_follow: bool,
    timeout: float | None,
    cancel_on_interrupt: bool,
    no_check: bool,
    lower_is_better: bool,
    run_timeout: float | None,
    **given: object,
) -> int:
    """Submit an evaluation, watch it, print its results, and say by the exit code whether it passed.

    It has passed (0) when it is completed and no threshold is missed, of a benchmark or of the job; 1
    otherwise. Ctrl-C leaves the job running. Afterwards `assay jobs artifacts last --download DIR` gets the single
    samples.

    \b
    Examples:
      assay practice-model --port 8400 &
      assay eval practice/arithmetic practice/cloze --model-url http://127.0.0.1:8400/v1
      assay eval practice/cloze --model-url http://127.0.0.1:8000/v1 --model-name my-model \\
        --secret my-key --threshold 0.8 --tag nightly
      assay eval --task my_task --include-path ./tasks --endpoint completions \\
        --model-url http://127.0.0.1:8000/v1 --limit 10 -p num_fewshot=3
      assay eval --file job.yaml --no-follow --json
    """
    if lower_is_better and not given["metric"]:
        raise CommandError("--lower-is-better belongs to --metric NAME, which is not given.")
    wishes = submission.Wishes(
        parameters=submission.parameters(params),
        lower_is_better=lower_is_better,
        run_timeout_s=run_timeout,
        **given,  # type: ignore[arg-type]
    )
    body = submission.build(wishes, file)
    evaluations = settings.evaluations()
    if not no_check:
        from assay.cli.model_check import check

        check(body["model"], settings.server_url)
    try:
        job = evaluations.submit(body)
    except ServerError as error:
        if error.status == 404 and "provider" in error.message:
            raise CommandError(f"{error} `assay providers list` shows those that there are.") from None
        if error.code == "resource_does_not_exist":
            raise CommandError(f"{error} `assay providers show PROVIDER` lists its benchmarks.") from None
        raise
    job_id = identity(job)
    if no_follow:
        click.echo(json.dumps(job) if settings.json else job_id)
        return Exit.PASSED
    say(f"submitted {job_id}")
    from assay.cli.follow import follow_to_end

    return follow_to_end(settings, evaluations, job_id, timeout_s=timeout, cancel_on_interrupt=cancel_on_interrupt)
