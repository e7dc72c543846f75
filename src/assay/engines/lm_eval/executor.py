"""The worker's half of the lm_eval engine: a fork of the warm host where that can be, else a process of its own.

Both run the same driver on the same specification and so bring the same numbers. Success is what the driver reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from assay.engines import environments
from assay.engines.base import Assignment, Site
from assay.engines.lm_eval.commands import cold_command, engine_environment
from assay.engines.lm_eval.planner import LmEvalParameters
from assay.engines.lm_eval.results import RunResult, flat_metrics, parse_result
from assay.engines.lm_eval.spec import LmEvalSpec
from assay.engines.lm_eval.warm import EngineHost, HostUnavailable
from assay.model.protocol import Ending
from assay.runtimes import process, tree
from assay.runtimes.pipes import Pipe

log = logging.getLogger(__name__)

_KEY_VARIABLE = "ASSAY_RUN_TOKEN"
_LONGEST_EVENT = 64 << 20


class LmEvalExecutor:
    """Carries lm_eval runs out in the engine's environment."""

    name = "lm_eval"
    only_reads_files = True

    def __init__(self, site: Site, environment: environments.Environment) -> None:
        self._site, self._environment = site, environment
        self.version = environment.version
        name, _, value = site.marker.partition("=")
        self._host = EngineHost(marker={name: value})
        self._warm = os.environ.get("ASSAY_ENGINE_HOST", "on") != "off"
        self._begun: asyncio.Task[None] | None = None

    async def execute(self, assignment: Assignment) -> Ending:
        """Run the driver; return its own verdict, or say how it died."""
        if not self._environment.python.exists():
            text = "The environment of the engine lm_eval is gone. Run `assay engines install lm_eval` and submit again."
            return Ending(fence=assignment.lease.fence, outcome="failed", code="engine_not_installed", message=text)
        spec = self._spec(assignment)
        spec_path = assignment.folder / "spec.json"
        spec.write(spec_path)
        channel = _Channel(assignment)
        ended = await (self._run_warm(assignment, spec, spec_path, channel) if self._warm and spec.warm else _none())
        if ended is None:
            ended = await self._run_cold(assignment, spec, spec_path, channel)
        return await self._ending(assignment, channel, ended)

    async def warm_up(self) -> None:
        """Start the engine host before the first run needs it. Its failure is no one's: runs go cold."""
        self._site.sockets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(HostUnavailable):
            await self._host.start(self._environment, self._site.sockets_dir)

    def begin(self) -> None:
        """Warm up in the background."""
        if self._warm:
            self._begun = asyncio.create_task(self.warm_up())

    async def close(self) -> None:
        """End the engine host."""
        if self._begun:
            self._begun.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._begun
        await self._host.close()

    def _spec(self, assignment: Assignment) -> LmEvalSpec:
        plan, context = assignment.lease.plan, assignment.lease.context
        given = msgspec.convert(plan.parameters, LmEvalParameters, strict=False)
        few = given.num_fewshot if given.num_fewshot is not None else given.num_few_shot
        limit = given.limit if given.limit is not None else context.num_examples
        seeds = {} if given.seed is None else {"seeds": (given.seed,) * 4}
        output = assignment.folder / "out"
        output.mkdir()
        return LmEvalSpec(
            task=plan.options["task"],
            endpoint=plan.options["endpoint"],
            base_url=assignment.doors.model_url,
            model=plan.model.name,
            output_dir=str(output),
            include_path=str(assignment.files) if assignment.files else None,
            moved=_moved(assignment),
            task_index=str(self._environment.task_index),
            api_key_env=_KEY_VARIABLE,
            limit=limit,
            num_fewshot=few,
            gen_kwargs={**plan.model.parameters, **given.gen_kwargs},
            apply_chat_template=given.apply_chat_template,
            fewshot_as_multiturn=given.fewshot_as_multiturn,
            system_instruction=given.system_instruction,
            num_concurrent=given.num_concurrent,
            max_length=given.max_length,
            max_gen_toks=given.max_gen_toks,
            tokenizer_backend=given.tokenizer_backend,
            tokenizer=given.tokenizer,
            bootstrap_iters=given.bootstrap_iters,
            max_error_rate=given.max_error_rate,
            allow_online=given.allow_online,
            confirm_unsafe_code=given.confirm_unsafe_code,
            metadata=given.metadata,
            **seeds,  # type: ignore[arg-type]
        )

    def _run_environment(self, assignment: Assignment, spec: LmEvalSpec) -> dict[str, str]:
        extra = {_KEY_VARIABLE: assignment.doors.token, **assignment.devices, **assignment.marker}
        return engine_environment(self._environment, online=spec.allow_online, extra=extra)

    def _folder(self, spec: LmEvalSpec, assignment: Assignment) -> Path:
        """Return where the run starts: task files name their data relative to their folder."""
        return Path(spec.include_path) if spec.include_path else assignment.folder

    async def _run_warm(
        self, assignment: Assignment, spec: LmEvalSpec, spec_path: Path, channel: _Channel
    ) -> process.Ended | None:
        """Run as a fork of the host; None when there is no host to be had and nothing has run."""
        await self.warm_up()
        pipes = [Pipe(lambda data: assignment.log("stdout", data)), Pipe(lambda data: assignment.log("stderr", data))]
        control = Pipe(channel.feed)
        try:
            hosted = await self._host.run(
                spec_path,
                cwd=self._folder(spec, assignment),
                env=self._run_environment(assignment, spec),
                stdout=pipes[0].write_end,
                stderr=pipes[1].write_end,
                control=control.write_end,
            )
        except HostUnavailable as error:
            log.warning("the engine host is not available, the run goes cold: %s", error)
            for pipe in (*pipes, control):
                pipe.abandon()
            return None
        except BaseException:
            for pipe in (*pipes, control):
                pipe.abandon()
            raise
        for pipe in (*pipes, control):
            pipe.begin()
        stopped = timed_out = False
        try:
            await assignment.started()
            ending, stop = asyncio.ensure_future(hosted.wait()), asyncio.ensure_future(assignment.stop.wait())
            timeout_s = assignment.lease.context.timeout_s or self._site.run_timeout_s
            done, _ = await asyncio.wait((ending, stop), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            stopped, timed_out = ending not in done and bool(done), not done
        finally:
            hosted.kill()
            exit_ = await asyncio.shield(hosted.wait())
            # The host ends the run's process group; this, what left the group.
            await asyncio.shield(tree.end(_marker(assignment)))
            for pipe in (*pipes, control):
                await pipe.drained()
        channel.host_died = exit_.host_died
        return process.Ended(exit_.returncode if exit_.returncode is not None else -9, stopped, timed_out)

    async def _run_cold(self, assignment: Assignment, spec: LmEvalSpec, spec_path: Path, channel: _Channel) -> process.Ended:
        control = Pipe(channel.feed)

        async def started() -> None:
            control.begin()
            await assignment.started()

        try:
            return await self._run_process(assignment, spec, spec_path, control, started)
        finally:
            await control.drained()

    async def _run_process(
        self,
        assignment: Assignment,
        spec: LmEvalSpec,
        spec_path: Path,
        control: Pipe,
        started: Callable[[], Awaitable[None]],
    ) -> process.Ended:
        return await process.run(
            process.Command(
                arguments=cold_command(self._environment, spec_path, control.write_end),
                environment=self._run_environment(assignment, spec),
                folder=self._folder(spec, assignment),
                marker=_marker(assignment),
                descriptors=(control.write_end,),
            ),
            guards=self._site.guards,
            stop=assignment.stop,
            timeout_s=assignment.lease.context.timeout_s or self._site.run_timeout_s,
            output=assignment.log,
            started=started,
        )

    async def _ending(self, assignment: Assignment, channel: _Channel, ended: process.Ended) -> Ending:
        fence = assignment.lease.fence
        if ended.stopped:
            return Ending(
                fence=fence, outcome="released", code="stopped", message="The run was stopped.", exit_code=ended.code
            )
        if ended.timed_out:
            text = "The run was ended at its time limit. Raise timeout_seconds if it needs more."
            return Ending(fence=fence, outcome="failed", code="run_timed_out", message=text, exit_code=ended.code)
        error, result = channel.error, channel.result
        if error is None and result is None:
            text = f"The engine ended without a result. {ended.sentence}"
            return Ending(
                fence=fence,
                outcome="failed",
                code="engine_died",
                message=text,
                exit_code=ended.code,
                temporary=channel.host_died,
            )
        more: dict[str, Any] = {}
        if result:
            parsed = parse_result(result)
            more = {
                "metrics": flat_metrics(parsed),
                "additional_info": _info(parsed, assignment),
                "artifacts": [
                    await assignment.upload(artifact.name, Path(artifact.path), artifact.media_type)
                    for artifact in parsed.artifacts
                ],
                "warning": channel.warning(parsed),
            }
        if error:
            return Ending(
                fence=fence,
                outcome="failed",
                code=error.get("code", "engine_error"),
                message=error.get("message", "The engine failed."),
                temporary=bool(error.get("temporary")),
                exit_code=ended.code,
                **more,
            )
        return Ending(fence=fence, outcome="completed", exit_code=ended.code, **more)


def executor(site: Site) -> LmEvalExecutor | None:
    """Return the executor if the engine's environment is installed, else None."""
    environment = environments.environment(site.engines_dir, "lm_eval")
    return LmEvalExecutor(site, environment) if environment else None


def _moved(assignment: Assignment) -> tuple[str, str] | None:
    """Return the folder that the snapshot was taken of, and where it is now: task files may name absolute paths."""
    locations = assignment.lease.context.locations
    if assignment.files is None or not locations.get("root"):
        return None
    here = str(assignment.files).removesuffix(f"/{locations['start']}") if locations.get("start") else str(assignment.files)
    return locations["root"], here


def _info(result: RunResult, assignment: Assignment) -> dict[str, Any]:
    """Return what is worth keeping beside the numbers: per task its samples, version and hash; and the usage."""
    return {
        "engine": "lm_eval",
        "engine_version": result.lm_eval_version,
        "tasks": msgspec.to_builtins(result.tasks),
        "groups": msgspec.to_builtins(result.groups),
        "usage": dict(assignment.doors.usage()),
    }


def _marker(assignment: Assignment) -> str:
    return "=".join(("ASSAY_ATTEMPT", assignment.marker["ASSAY_ATTEMPT"]))


async def _none() -> None:
    return None


class _Channel:
    """The driver's control pipe: one JSON object a line."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._partial = b""
        self.result: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None
        self.warnings: list[str] = []
        self.host_died = False

    def feed(self, data: bytes) -> None:
        """Take bytes from the pipe."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LONGEST_EVENT:
            self._partial = b""
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    self._take(event)

    def warning(self, result: RunResult) -> str:
        """Return what a user should know of a run that has a result, empty for nothing."""
        notes = list(dict.fromkeys(self.warnings))[:5]
        if result.n_errored:
            notes.insert(0, f"{result.n_errored} samples got no answer and are not in the metrics.")
        return " ".join(notes)

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "progress":
            total, done = event.get("total"), event.get("done")
            if isinstance(total, int) and isinstance(done, int):
                self._assignment.progress.update(done, total, str(event.get("phase") or ""))
        elif kind == "result":
            self.result = event
        elif kind == "error":
            self.error = event
        elif kind == "warning":
            self.warnings.append(str(event.get("message", "")))
