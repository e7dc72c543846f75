"""`assay demo`: a real evaluation from end to end, with everything that it needs started and stopped here."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import click

from assay.cli import programs
from assay.cli.children import Child
from assay.cli.exits import CommandError, Exit, say
from assay.cli.follow import follow_to_end
from assay.cli.settings import Settings, json_option, pass_settings
from assay.client.evaluations import Evaluations, identity
from assay.client.http import Http
from assay.config import SETTINGS, data_dir, engines_dir
from assay.config.evalhub import DIRECTORY
from assay.config.loading import CONFIG

ENGINE = "lm_eval"
BENCHMARKS = ("arithmetic", "cloze")
_START_S = 60.0


@click.command()
@json_option
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep jobs and results in this folder (default: a temporary one, deleted at the end).",
)
@click.option("--keep", is_flag=True, help="Leave server and practice model running until Ctrl-C.")
@pass_settings
def demo(settings: Settings, data: Path | None, keep: bool) -> int:
    """See a real evaluation from end to end, on this machine.

    Installs lm-evaluation-harness where it is missing (once, about 750 MB), starts a server, its worker and a small
    practice model on free ports, evaluates that model on two benchmarks, prints the results and stops
    everything.

    \b
    Examples:
      assay demo
      assay demo --keep                     # then look around with `assay jobs list`, in another terminal
      assay demo --data ./demo-data
    """
    began = time.monotonic()
    with _interrupt_on_signals(), ExitStack() as stack:
        folder = _folder(stack, data)
        engines = _engine()
        model_url = _start_model(stack, folder)
        server = _start_server(stack, folder, engines)
        settings.server = server_url = server.wait_ready(_START_S)
        say(f"server         {server_url}")
        say("")
        code = _evaluate(settings, server_url, model_url)
        if not settings.json:
            say("")
            say(f"All of it took {time.monotonic() - began:.1f} s.")
        if keep:
            _advise_kept(server_url, model_url)
            try:
                server.wait()
            except KeyboardInterrupt:
                say("stopping")
        if not settings.json:
            _advise(data)
    return code


def _folder(stack: ExitStack, data: Path | None) -> Path:
    """Return the folder `data`, which can be written, or a temporary one that goes with the stack."""
    if data is None:
        folder = Path(tempfile.mkdtemp(prefix="assay-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            return data.absolute()
    except OSError as error:
        raise CommandError(f"The folder {data} cannot be used: {error.strerror}. Choose another one with --data.") from None


def _engine() -> Path:
    """Return the folder of engines, with the one that is needed in it."""
    folder = engines_dir(data_dir())
    found = next(engine for engine in programs.engines(folder) if engine.name == ENGINE)
    if found.path is None:
        say(f"The engine {ENGINE} is not installed yet. This is done once and takes a minute or so.")
        began = time.monotonic()
        programs.install_engine(folder, ENGINE, say)
        say(f"It took {time.monotonic() - began:.1f} s.")
    return folder


def _start_model(stack: ExitStack, folder: Path) -> str:
    model = stack.enter_context(
        Child(
            "practice model",
            "assay.practice",
            ("--port", "0"),
            ready=r"ready on (http\S+)",
            log=folder / "practice-model.log",
        )
    )
    url = model.wait_ready(_START_S)
    say(f"practice model {url}")
    return url


def _start_server(stack: ExitStack, folder: Path, engines: Path) -> Child:
    # Settings of a real server, its database above all, must not reach this one; empty variables do not count.
    unset = dict.fromkeys((CONFIG, DIRECTORY, *(setting.environment for setting in SETTINGS)), "")
    return stack.enter_context(
        Child(
            "server",
            "assay",
            ("serve", "--host", "127.0.0.1", "--port", "0", "--data", str(folder)),
            ready=r"assay ready on (http\S+)",
            log=folder / "server.log",
            environment=unset | {"ASSAY_ENGINES_DIR": str(engines)},
        )
    )


def _evaluate(settings: Settings, server_url: str, model_url: str) -> Exit:
    evaluations = Evaluations(Http(server_url))
    benchmarks = [{"provider_id": "practice", "id": name} for name in BENCHMARKS]
    body = {
        "name": "demo",
        "model": {"url": model_url, "name": "practice"},
        "benchmarks": benchmarks,
        "tags": ["demo"],
    }
    said = " ".join(f"practice/{name}" for name in BENCHMARKS)
    say(f"$ assay eval {said} --model-url {model_url} --name demo --tag demo")
    job = evaluations.submit(body)
    return follow_to_end(settings, evaluations, identity(job), cancel_on_interrupt=True)


def _advise(data: Path | None) -> None:
    say("")
    say("Next:")
    _advise_path()
    say(f"  assay serve{f' --data {data}' if data else ''}                   # a server that stays")
    say("  assay eval practice/arithmetic --model-url YOUR_ENDPOINT/v1 --model-name YOUR_MODEL")
    say("  assay providers list")


def _advise_kept(server_url: str, model_url: str) -> None:
    say("")
    say("Server and practice model go on until Ctrl-C. In another terminal:")
    _advise_path()
    say(f"  export ASSAY_SERVER={server_url}")
    say("  assay jobs show last")
    say(f"  assay eval practice/starter --model-url {model_url}")


def _advise_path() -> None:
    """Say how the shell finds `assay`, where it does not: `make demo` calls it by its path."""
    if shutil.which("assay") is None:
        say(f'  export PATH="{Path(sys.executable).parent}:$PATH"')


@contextmanager
def _interrupt_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does, so that nothing is left running."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
