"""Command lines and environments for processes of the engine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from assay.engines.environments import Environment
from assay.engines.lm_eval.inside import settings
from assay.engines.lm_eval.spec import LmEvalSpec

ENTRY = Path(__file__).parent / "inside" / "__main__.py"
"""The program that runs inside the environment."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def cold_command(env: Environment, spec_path: Path, control_fd: int) -> list[str]:
    """Return the command of a run in a process of its own; `control_fd` must be passed on to it."""
    return [str(env.python), "-I", str(ENTRY), "run", str(spec_path), "--control-fd", str(control_fd)]


def host_command(env: Environment, socket: Path) -> list[str]:
    """Return the command of an engine host that ends with this process."""
    command = [
        str(env.python),
        "-I",
        str(ENTRY),
        "host",
        "--socket",
        str(socket),
        "--parent",
        str(os.getpid()),
    ]
    return [*command, "--task-index", str(env.task_index)]


def engine_environment(env: Environment, *, online: bool = False, extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of an engine process: a safe base, the library's settings, and `extra`
    (the run's key).
    """
    base = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return base | settings.variables(env.cache, online=online) | (extra or {})


def plain_command(env: Environment, spec: LmEvalSpec) -> list[str]:
    """Return the ordinary `lm_eval run` command that evaluates the same as `spec`. It reads its key from
    OPENAI_API_KEY.

    Assay does not run it: it is what results and speed are compared with.
    """
    url = f"{spec.base_url.rstrip('/')}/{'chat/completions' if spec.chat else 'completions'}"
    arguments = {
        "model": spec.model,
        "base_url": url,
        "num_concurrent": spec.num_concurrent,
        "max_length": spec.max_length,
        "max_gen_toks": spec.max_gen_toks,
        "timeout": round(spec.timeout_s),
    }
    if not spec.chat:
        arguments["tokenizer_backend"] = spec.tokenizer_backend
    model = f"local-{'chat-' if spec.chat else ''}completions"
    command = [str(env.python), "-m", "lm_eval", "run", "--model", model, "--tasks", spec.task]
    command += ["--model_args", ",".join(f"{name}={value}" for name, value in arguments.items())]
    command += ["--output_path", spec.output_dir, "--seed", ",".join(str(seed) for seed in spec.seeds)]
    if spec.log_samples:
        command.append("--log_samples")
    if spec.include_path:
        command += ["--include_path", spec.include_path]
    if spec.chat if spec.apply_chat_template is None else spec.apply_chat_template:
        command += ["--apply_chat_template", "--fewshot_as_multiturn", str(spec.fewshot_as_multiturn).lower()]
    if spec.limit is not None:
        command += ["--limit", f"{spec.limit:g}"]
    if spec.num_fewshot is not None:
        command += ["--num_fewshot", str(spec.num_fewshot)]
    if spec.gen_kwargs:
        command += ["--gen_kwargs", *(f"{name}={value!r}" for name, value in spec.gen_kwargs.items())]
    if spec.metadata:
        command += ["--metadata", json.dumps(spec.metadata)]
    if spec.confirm_unsafe_code:
        command.append("--confirm_run_unsafe_code")
    if spec.system_instruction:
        command += ["--system_instruction", spec.system_instruction]
    return command
