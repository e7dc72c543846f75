"""The server's half of the lm_eval engine: which task, with which settings, over which files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from assay.artifacts.snapshots import common_root
from assay.engines import environments
from assay.engines.base import Offer, Resolution
from assay.engines.lm_eval import preflight, tasks
from assay.model.errors import EngineMissing, PreflightFailed
from assay.model.submission import http_url


class LmEvalParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a user may set for a benchmark of this engine, in the benchmark's `parameters`."""

    task: str = ""
    """Name of an lm_eval task, group or tag."""
    include_path: str = ""
    """Folder of task files on the server's machine."""
    endpoint: Literal["", "chat", "completions"] = ""
    num_fewshot: Annotated[int, msgspec.Meta(ge=0)] | None = None
    num_few_shot: Annotated[int, msgspec.Meta(ge=0)] | None = None
    limit: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Samples per task; below 1 it is a fraction."""
    num_examples: int | None = None
    """The same as `limit`, as EvalHub calls it."""
    gen_kwargs: dict[str, Any] = {}
    num_concurrent: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    system_instruction: str | None = None
    apply_chat_template: bool | None = None
    fewshot_as_multiturn: bool = True
    max_length: int = 2048
    max_gen_toks: int = 256
    max_error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """Greatest fraction of samples without an answer that leaves the run a success."""
    seed: int | None = None
    bootstrap_iters: int = 100_000
    tokenizer: str | None = None
    tokenizer_backend: Literal["auto", "remote", "huggingface", "none"] = "auto"
    allow_online: bool = False
    """Let the run fetch data sets from the hub."""
    confirm_unsafe_code: bool = False
    """Run tasks that execute what the model wrote."""
    metadata: dict[str, Any] = {}


class LmEvalPlanner:
    """Resolves a benchmark to an lm_eval task, and checks its files."""

    name = "lm_eval"
    reads_files = True

    def resolve(self, offer: Offer, engines_dir: Path) -> Resolution:
        """Return task, endpoint and the digests of every local file. Raises PreflightFailed, EngineMissing."""
        given = self._parameters(offer)
        environment = environments.environment(engines_dir, self.name)
        if environment is None:
            raise EngineMissing(engine=self.name, provider=offer.provider_id)
        if not http_url(offer.model_url):
            raise PreflightFailed(field="model.url", problem="an http(s) URL of an OpenAI-compatible API is needed")
        benchmark_id = offer.benchmark["id"]
        task = given.task or offer.benchmark.get("task") or (benchmark_id if benchmark_id != "custom" else "")
        if not task:
            raise PreflightFailed(field="parameters.task", problem="name the lm_eval task, group or tag to run")
        endpoint = given.endpoint or offer.benchmark.get("endpoint") or "chat"
        options = {"task": task, "endpoint": endpoint}
        folder = self._include_path(given, offer)
        if folder is None:
            self._library_task(environment, task)
            return Resolution(options=options, version=environment.version)
        checked = preflight.check(folder, task, known=lambda name: tasks.known_task(environment, name))
        if isinstance(checked, list):
            first = checked[0]
            raise PreflightFailed(field=f"parameters.{first.field}", problem="; ".join(p.message for p in checked))
        if endpoint == "chat" and checked.output_types & {"multiple_choice", "loglikelihood", "loglikelihood_rolling"}:
            problem = "the task compares log-probabilities, which a chat endpoint does not return; set it to completions"
            raise PreflightFailed(field="parameters.endpoint", problem=problem)
        digests = {_relative(path, folder): digest for path, digest in checked.digests.items()}
        return Resolution(
            options=options,
            files=common_root(folder, [Path(path) for path in checked.files]),
            datasets=digests,
            version=environment.version,
        )

    def _parameters(self, offer: Offer) -> LmEvalParameters:
        try:
            return msgspec.convert(dict(offer.parameters), LmEvalParameters, strict=False)
        except msgspec.ValidationError as error:
            known = ", ".join(LmEvalParameters.__struct_fields__)
            problem = f"{error}. The engine lm_eval takes: {known}"
            raise PreflightFailed(field="parameters", problem=problem) from error

    def _include_path(self, given: LmEvalParameters, offer: Offer) -> Path | None:
        listed = offer.runtime.get("assay", {}).get("include_path")
        if given.include_path:
            folder = Path(given.include_path).expanduser()
            if not folder.is_absolute():
                raise PreflightFailed(field="parameters.include_path", problem="give the folder's absolute path")
        elif listed:
            folder = (offer.folder / listed).resolve() if offer.folder else Path(listed)
        else:
            return None
        if not folder.is_dir():
            raise PreflightFailed(field="parameters.include_path", problem=f"the folder {folder} does not exist")
        return folder.resolve()

    def _library_task(self, environment: environments.Environment, task: str) -> None:
        if tasks.known_task(environment, task):
            return
        close = tasks.close_tasks(environment, task)
        hint = f"; did you mean {' or '.join(close)}?" if close else ". Give include_path for a task of your own."
        raise PreflightFailed(field="parameters.task", problem=f"lm_eval has no task '{task}'{hint}")


def _relative(path: str, folder: Path) -> str:
    """Return a path as the plan names it: within the task folder without the folder, so that moving it changes nothing."""
    try:
        return str(Path(path).relative_to(folder))
    except ValueError:
        return path
