"""`assay practice-model`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

KEY_VARIABLE = "ASSAY_PRACTICE_API_KEY"
_RATE = click.FloatRange(0, 1)
_MILLISECONDS = click.FloatRange(min=0)


class _StartError(click.ClickException):
    exit_code = 2


@click.command("practice-model", context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8400, type=click.IntRange(0, 65535), help="Port to listen on; 0 picks a free one.")
@click.option("--model", default="practice", help="Model name that /v1/models lists.")
@click.option("--seed", default=0, help="Seed of faults, jitter, and sampling without a seed of its own.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Demand the API key in this file; without it the one in the environment variable {KEY_VARIABLE}.",
)
@click.option("--latency-ms", default=0.0, type=_MILLISECONDS, help="Wait this long before each answer.")
@click.option("--jitter-ms", default=0.0, type=_MILLISECONDS, help="Wait up to this much longer.")
@click.option("--fail-rate", default=0.0, type=_RATE, help="Fraction of requests answered 500.")
@click.option("--fail-on", metavar="TEXT", help="Answer 500 to every request whose prompt contains TEXT.")
@click.option("--rate-limit-every", default=0, type=click.IntRange(min=0), help="Answer 429 to every Nth request.")
@click.option("--retry-after-s", default=1, type=click.IntRange(min=0), help="Retry-After of a 429, in seconds.")
@click.option("--refuse", type=int, metavar="STATUS", help="Answer every request with this status, such as 401.")
@click.option("--hang-rate", default=0.0, type=_RATE, help="Fraction of requests never answered.")
@click.option("--bad-json-rate", default=0.0, type=_RATE, help="Fraction of requests answered with broken JSON.")
@click.option("--null-content-rate", default=0.0, type=_RATE, help="Fraction of requests answered without text.")
@click.option("--truncate-stream", is_flag=True, help="End every stream half way.")
@click.option("--parent-pipe", is_flag=True, hidden=True, help="End when standard input does.")
def practice_model(host: str, port: int, api_key_file: Path | None, parent_pipe: bool, **settings: Any) -> None:
    """Serve a small language model with an OpenAI-compatible API.

    For demos, tests and dry runs: the model is fitted at start on text that ships with Assay, so it needs no
    download and no accelerator. It answers the same request in the same way every time, and on request it
    misbehaves like a real endpoint.

    \b
    Examples:
      assay practice-model --port 8400
      curl http://127.0.0.1:8400/v1/chat/completions -H 'content-type: application/json' \\
        -d '{"model": "practice", "messages": [{"role": "user", "content": "What is 7 plus 5?"}]}'
      assay practice-model --port 0 --latency-ms 50 --fail-rate 0.1     # how does my run cope with errors?
      assay practice-model --fail-on "11 plus 5"                        # one sample that fails for good
    """
    from assay import parent
    from assay.model.errors import CannotListen
    from assay.practice.options import Options
    from assay.practice.serving import serve

    if parent_pipe:
        parent.end_with_it()
    try:
        options = Options(api_key=_api_key(api_key_file), **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(host, port, options)
    except CannotListen as error:
        raise _StartError(str(error)) from None


def _api_key(file: Path | None) -> str | None:
    """The key from the file, else from the environment; never from argv, which others can read."""
    if file is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"Cannot read the key in {file}: {error}") from None
    if not key:
        raise click.UsageError(f"The key file {file} is empty: put the key on its first line")
    return key
