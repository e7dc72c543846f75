"""One evaluation: from the specification to the result event. The same `run` serves a cold process and a
forked child.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO, cast

from .events import Control
from .failures import RunFailed
from .secrecy import CleanStream, Redactor
from .settings import keep_offline
from .spec import RunSpec, read
from .task_index import TaskIndex

_SCORED_BY_LOGPROBS = frozenset({"loglikelihood", "loglikelihood_rolling", "multiple_choice"})

LOADED_INDEXES: dict[str, TaskIndex] = {}
"""Task indexes that are in memory already, by path: the engine host reads its own once, for all its
children.
"""


def main(arguments: list[str]) -> int:
    """Cold start: `run SPEC.json --control-fd N`."""
    path, flag, fd = arguments
    if flag != "--control-fd":
        raise SystemExit("usage: __main__.py run SPEC.json --control-fd N")
    os.set_inheritable(int(fd), False)
    return run(path, Control(int(fd)))


def run(path: str, control: Control, *, warm: bool = False) -> int:
    """Carry out the run that the file `path` specifies and tell `control` about it. Returns the exit code:
    0 or 1.
    """
    try:
        spec = read(path)
        redactor = _conceal(spec, control)
        try:
            return _evaluate(spec, control, redactor, warm=warm)
        except OSError as error:
            if error.filename is None:
                raise
            traceback.print_exc()
            problem = f"{error.strerror}: {error.filename}"
            raise RunFailed("io_error", f"A file cannot be read or written ({problem}).") from error
    except RunFailed as failure:
        control.error(failure.code, failure.message, temporary=failure.temporary)
    except MemoryError:
        control.error(
            "out_of_memory",
            "The evaluation ran out of memory. Give the run more, or evaluate fewer samples at a time.",
        )
    except Exception as error:
        traceback.print_exc()
        said = (str(error).strip().splitlines() or [""])[0]
        detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
        control.error("engine_error", f"lm_eval stopped with an error ({detail}). The log of the run has the details.")
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.close() if isinstance(stream, CleanStream) else stream.flush()
    return 1


def _conceal(spec: RunSpec, control: Control) -> Redactor:
    secrets = {spec.base_url.rstrip("/"): "<model url>", spec.server_root: "<model server>"}
    redactor = Redactor({os.environ.get(spec.api_key_env, ""): "[redacted]", **secrets})
    control.conceal(redactor)
    sys.stdout = cast("TextIO", CleanStream(sys.stdout, redactor))
    sys.stderr = cast("TextIO", CleanStream(sys.stderr, redactor))
    return redactor


def _evaluate(spec: RunSpec, control: Control, redactor: Redactor, *, warm: bool) -> int:
    if not spec.allow_online:
        os.environ.update(keep_offline())
    elif warm:
        raise RunFailed("bad_spec", "A run that may go online needs a process of its own.")
    # Only now: the settings of these libraries are read at import. In a child of the host they are in memory
    # already.
    from . import datasets_guard, report
    from .isolation import SampleProgress, isolate
    from .loading import load
    from .model import connect

    began = time.perf_counter()
    version = _prepare_library()
    control.started(pid=os.getpid(), warm=warm, lm_eval_version=version)
    control.progress("loading_data", 0, 0, spec.task)
    datasets_guard.install(online=spec.allow_online, moved=spec.moved)
    loaded = load(spec, _index(spec.task_index))
    kinds = {str(task.OUTPUT_TYPE) for task in loaded["tasks"].values()}
    _check(spec, loaded["tasks"], kinds)

    def report_progress(done: int, total: int, task: str) -> None:
        control.progress("running_evaluation", done, total, task)
        if done == total:
            control.progress("post_processing", done, total, spec.task)

    progress = SampleProgress(report_progress)
    for task in loaded["tasks"].values():
        isolate(task, progress)
    model = connect(spec, progress.finished, scores_prompts=bool(kinds & _SCORED_BY_LOGPROBS))
    results = _simple_evaluate(spec, model, loaded)
    tracker = report.describe_model(spec, model, results)
    tracker.start_time = began
    document = report.result_document(spec, loaded, results, model)
    document["artifacts"] = report.write_artifacts(spec, loaded, results, tracker, redactor)
    if model.null_answers:
        answers = f"{model.null_answers} answers without content (null)"
        control.warning(f"The model gave {answers}; they were scored as empty texts.")
    control.result(document)
    if verdict := _too_many_errors(spec, document["tasks"], loaded["tasks"]):
        control.error("too_many_errors", verdict)
        return 1
    return 0


def _index(path: str | None) -> TaskIndex | None:
    if path is None:
        return None
    try:
        return LOADED_INDEXES.get(path) or TaskIndex.load(Path(path))
    except (OSError, ValueError, KeyError) as error:
        message = f"The engine's task index {path} cannot be read. Run `assay engines install lm_eval` again."
        raise RunFailed("engine_broken", message) from error


def _prepare_library() -> str:
    import lm_eval
    import lm_eval.evaluator
    from lm_eval.utils import setup_logging

    # The library would record the commit of whatever repository the run's folder lies in.
    lm_eval.evaluator.get_git_commit_hash = lambda: None
    setup_logging()
    return str(lm_eval.__version__)


def _check(spec: RunSpec, tasks: dict[str, Any], kinds: set[str]) -> None:
    if spec.limit is not None and spec.limit <= 0:
        raise RunFailed("bad_parameters", f"limit is {spec.limit:g}; it must be greater than 0.")
    scored = sorted(kinds & _SCORED_BY_LOGPROBS)
    if spec.chat and scored:
        raise RunFailed(
            "needs_completions",
            f"Benchmark '{spec.task}' is scored by log-probabilities ({', '.join(scored)}) and needs a "
            "completions endpoint; a chat endpoint cannot give them. Use the completions endpoint, or choose "
            "a benchmark that generates text.",
        )
    if spec.chat and not spec.templated:
        raise RunFailed(
            "bad_parameters",
            "A chat endpoint takes only chat messages: apply_chat_template cannot be switched off.",
        )
    for name, task in tasks.items():
        if getattr(task, "UNSAFE_CODE", False) and not spec.confirm_unsafe_code:
            raise RunFailed(
                "unsafe_code",
                f"Task '{name}' executes code that the model writes. Confirm it with confirm_unsafe_code if "
                "this machine is safe for it.",
            )


def _simple_evaluate(spec: RunSpec, model: Any, loaded: dict[str, Any]) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    group = loaded.get("groups", {}).get(spec.task)
    python_seed, numpy_seed, torch_seed, fewshot_seed = spec.seeds
    results = simple_evaluate(
        model=model,
        tasks=[group] if group else list(loaded["tasks"].values()),
        task_manager=TaskManager(include_defaults=False),
        num_fewshot=spec.num_fewshot,
        limit=spec.limit,
        bootstrap_iters=spec.bootstrap_iters,
        system_instruction=spec.system_instruction,
        apply_chat_template=spec.templated,
        fewshot_as_multiturn=spec.fewshot_as_multiturn,
        gen_kwargs=dict(spec.gen_kwargs) or None,
        random_seed=python_seed,
        numpy_random_seed=numpy_seed,
        torch_random_seed=torch_seed,
        fewshot_random_seed=fewshot_seed,
        confirm_run_unsafe_code=spec.confirm_unsafe_code,
    )
    return dict(results)


def _too_many_errors(spec: RunSpec, found: dict[str, Any], tasks: dict[str, Any]) -> str | None:
    """Return why the numbers do not count, or None. A task without a single scored sample never counts."""
    from .isolation import failures

    planned = sum(task["n_planned"] for task in found.values())
    errored = sum(task["n_errored"] for task in found.values())
    unscored = [name for name, task in found.items() if not task["n_scored"]]
    if not unscored and errored <= spec.max_error_rate * planned:
        return None
    first = next(failure.message for task in tasks.values() for failure in failures(task).values())
    limit = f"no sample of {unscored[0]} could be scored" if unscored else f"allowed: {spec.max_error_rate:.1%}"
    share = f"{errored} of {planned} samples got no answer ({errored / planned:.1%}; {limit})"
    return f"{share}. The first: {first}."
