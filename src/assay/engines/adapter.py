"""The `adapter` engine: any program that speaks the EvalHub adapter contract.

The program finds its job in a file (`EVALHUB_JOB_SPEC_PATH`, ending in `meta/job.json`) and reports by HTTP to the
callback URL in it. Both that URL and the model's lead to the run's gateway, so an adapter made with eval-hub-sdk runs
unmodified, and never sees the model's key. Its exit code says nothing of the benchmark; its reports do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.artifacts.snapshots import Files
from assay.engines.base import Assignment, Offer, Resolution, Site
from assay.model.protocol import Ending
from assay.runtimes import process

_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("HF_", "TRANSFORMERS_")


class AdapterPlanner:
    """Resolves a provider's local command."""

    name = "adapter"
    reads_files = False

    def resolve(self, offer: Offer, engines_dir: Path) -> Resolution:
        """Return the command and its environment. A provider without a command is refused only when it runs."""
        local = offer.runtime.get("local", {})
        options: dict[str, Any] = {}
        if local.get("command"):
            options["command"] = local["command"]
        environment = {entry["Name"]: entry.get("Value", "") for entry in local.get("env", []) if entry.get("Name")}
        if environment:
            options["env"] = environment
        score = offer.benchmark.get("primary_score")
        if score:
            options["primary_score"] = score
        files = Files(offer.folder.parent, offer.folder.name) if offer.folder and "command" in options else None
        return Resolution(options=options, files=files)


class AdapterExecutor:
    """Runs the command in a process tree of its own."""

    name = "adapter"
    version = "1"
    only_reads_files = False

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}

    def begin(self) -> None:
        """Nothing is needed beforehand."""

    async def execute(self, assignment: Assignment) -> Ending:
        """Run the adapter to its end; what it reported has reached the server by then, through the gateway."""
        lease = assignment.lease
        plan, fence = lease.plan, lease.fence
        command = plan.options.get("command")
        if not command:
            text = (
                f"Local runtime is not enabled for provider '{plan.provider_id}'. Please configure a local runtime command "
                "for this provider and try again."
            )
            return Ending(fence=fence, outcome="failed", code="evaluation_job_failed", message=text, origin="server")
        spec = _write_spec(assignment)
        timeout_s = lease.context.timeout_s or self._site.run_timeout_s
        marker = "=".join(("ASSAY_ATTEMPT", assignment.marker["ASSAY_ATTEMPT"]))
        ended = await process.run(
            process.Command(
                arguments=("/bin/sh", "-c", command),
                environment=_environment(self._kept, assignment, spec),
                folder=assignment.files or assignment.folder,
                marker=marker,
            ),
            guards=self._site.guards,
            stop=assignment.stop,
            timeout_s=timeout_s,
            output=assignment.log,
            started=assignment.started,
        )
        if ended.stopped:
            return Ending(
                fence=fence, outcome="released", code="stopped", message="The run was stopped.", exit_code=ended.code
            )
        if ended.timed_out:
            text = f"The run was ended at its limit of {timeout_s:g} seconds. Raise timeout_seconds if it needs more."
            return Ending(fence=fence, outcome="failed", code="run_timed_out", message=text, exit_code=ended.code)
        text = f"{ended.sentence} It had not reported a result."
        return Ending(fence=fence, outcome="exited", code="process_exited", message=text, exit_code=ended.code)

    async def close(self) -> None:
        """Nothing is kept between runs."""


def _environment(kept: Mapping[str, str], assignment: Assignment, spec: Path) -> dict[str, str]:
    """Return the adapter's whole environment. None of the worker's secrets are in it: `kept` is what it takes over."""
    doors, listed = assignment.doors, assignment.lease.plan.options.get("env", {})
    given = {**kept, "EVALHUB_JOB_SPEC_PATH": str(spec), "EVALHUB_MODE": "local"}
    if doors.mlflow_url:
        given["MLFLOW_TRACKING_URI"] = doors.mlflow_url
    if doors.mlflow_workspace:
        given["MLFLOW_WORKSPACE"] = doors.mlflow_workspace
    return {**given, **listed, **assignment.devices, **assignment.marker}


def _write_spec(assignment: Assignment) -> Path:
    """Write job.json, readable by the owner alone, and return its path."""
    folder = assignment.folder / "meta"
    folder.mkdir(mode=0o700)
    path = folder / "job.json"
    text = msgspec.json.format(json.dumps(job_spec(assignment)), indent=2)  # json alone indents in slow Python
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def job_spec(assignment: Assignment) -> dict[str, Any]:
    """Return the content of job.json, members in the contract's order."""
    lease, doors = assignment.lease, assignment.doors
    plan, context = lease.plan, lease.context
    model: dict[str, Any] = {"url": doors.model_url or plan.model.url, "name": plan.model.name}
    if context.secret_ref:
        model["auth"] = {"secret_ref": _token_folder(assignment)}
    if plan.model.parameters:
        model["parameters"] = plan.model.parameters
    if plan.model.card_url:
        model["card_url"] = plan.model.card_url
    spec: dict[str, Any] = {
        "id": lease.job_id,
        "provider_id": plan.provider_id,
        "benchmark_id": plan.benchmark_id,
        "benchmark_index": lease.index,
        "model": model,
    }
    if context.num_examples is not None:
        spec["num_examples"] = context.num_examples
    lifted = ("num_examples",) if context.num_examples is not None else ()
    spec["parameters"] = {name: value for name, value in plan.parameters.items() if name not in lifted}
    if context.experiment_name:
        spec["experiment_name"] = context.experiment_name
    if context.experiment_tags:
        spec["tags"] = context.experiment_tags
    spec["callback_url"] = doors.callback_url
    coordinates = context.exports.get("oci", {}).get("coordinates")
    if coordinates:
        spec["exports"] = {"oci": {"coordinates": coordinates}}
    if context.criteria.metric:
        spec["primary_score"] = {"metric": context.criteria.metric} | (
            {"lower_is_better": True} if context.criteria.lower_is_better else {}
        )
    return spec


def _token_folder(assignment: Assignment) -> str:
    """Return the URL of a folder that holds the run's own token where the model's key would be."""
    folder = assignment.folder / "model-auth"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "api-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(assignment.doors.token, encoding="ascii")
    return folder.resolve().as_uri()
