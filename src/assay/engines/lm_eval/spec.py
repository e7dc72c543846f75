"""The specification of one lm_eval run, as the worker writes it for the driver (`inside/spec.py` reads the
same fields).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec


class LmEvalSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one run evaluates, against which endpoint, and where its files go. Paths are absolute."""

    task: str
    """Name of a task, group or tag."""
    endpoint: Literal["chat", "completions"]
    base_url: str
    """Base of the OpenAI-style API, ending in `/v1`. Treated as a secret: it may carry the token of the
    run.
    """
    model: str
    output_dir: str
    include_path: str | None = None
    """Folder of task files, which come before lm_eval's own."""
    moved: tuple[str, str] | None = None
    """Data files whose absolute path begins with the first folder are in the second."""
    task_index: str | None = None
    """Index of lm_eval's own tasks (`Environment.task_index`)."""
    api_key_env: str = "OPENAI_API_KEY"
    limit: float | None = None
    """Samples per task; below 1 it is a fraction."""
    num_fewshot: int | None = None
    gen_kwargs: dict[str, Any] = {}
    apply_chat_template: bool | None = None
    """None: as the endpoint needs."""
    fewshot_as_multiturn: bool = True
    system_instruction: str | None = None
    seeds: tuple[int, int, int, int] = (0, 1234, 1234, 1234)
    """For `random`, numpy, torch and the choice of few-shot examples."""
    num_concurrent: int = 8
    max_length: int = 2048
    max_gen_toks: int = 256
    tokenizer_backend: Literal["auto", "remote", "huggingface", "none"] = "auto"
    tokenizer: str | None = None
    bootstrap_iters: int = 100_000
    """Resamplings for standard errors without a formula; such metrics (f1, mcc, perplexity) take long with
    many.
    """
    max_error_rate: float = 0.1
    """Greatest fraction of samples without an answer that leaves the run a success."""
    timeout_s: float = 300.0
    """For one request."""
    log_samples: bool = True
    allow_online: bool = False
    """Let the run fetch data sets; it then needs a process of its own (`warm` is False)."""
    confirm_unsafe_code: bool = False
    metadata: dict[str, Any] = {}

    @property
    def warm(self) -> bool:
        """Whether the run may be forked from the engine host, whose libraries were told at import to stay
        offline.
        """
        return not self.allow_online

    @property
    def chat(self) -> bool:
        """Whether requests go to the chat endpoint."""
        return self.endpoint == "chat"

    def write(self, path: Path) -> None:
        """Write the specification to `path`, readable by the owner alone."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(self))
