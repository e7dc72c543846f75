"""The specification of one run, as the driver reads it. `assay.engines.lm_eval.spec` describes and writes
the same fields.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .failures import RunFailed


@dataclass(frozen=True)
class RunSpec:
    """What one run evaluates, against which endpoint, and where its files go."""

    task: str
    endpoint: str
    base_url: str
    model: str
    output_dir: str
    include_path: str | None = None
    moved: tuple[str, str] | None = None
    task_index: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    limit: float | None = None
    num_fewshot: int | None = None
    gen_kwargs: dict[str, Any] = field(default_factory=dict)
    apply_chat_template: bool | None = None
    fewshot_as_multiturn: bool = True
    system_instruction: str | None = None
    seeds: tuple[int, int, int, int] = (0, 1234, 1234, 1234)
    num_concurrent: int = 8
    max_length: int = 2048
    max_gen_toks: int = 256
    tokenizer_backend: str = "auto"
    tokenizer: str | None = None
    bootstrap_iters: int = 100_000
    max_error_rate: float = 0.1
    timeout_s: float = 300.0
    log_samples: bool = True
    allow_online: bool = False
    confirm_unsafe_code: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def chat(self) -> bool:
        """Whether requests go to the chat endpoint."""
        return self.endpoint == "chat"

    @property
    def url(self) -> str:
        """Full URL of the endpoint that answers the requests."""
        return f"{self.base_url.rstrip('/')}/{'chat/completions' if self.chat else 'completions'}"

    @property
    def server_root(self) -> str:
        """Where the tokenizer calls are: the base URL without `/v1`."""
        return self.base_url.rstrip("/").removesuffix("/v1")

    @property
    def templated(self) -> bool:
        """Whether prompts are chat messages; a chat endpoint takes nothing else."""
        return self.chat if self.apply_chat_template is None else self.apply_chat_template


def read(path: str) -> RunSpec:
    """Read a specification file; raises RunFailed (`bad_spec`)."""
    try:
        document = json.loads(Path(path).read_bytes())
        known = {item.name for item in dataclasses.fields(RunSpec)}
        if unknown := sorted(set(document) - known):
            raise ValueError(f"unknown fields {', '.join(unknown)}")
        if "seeds" in document:
            document["seeds"] = tuple(document["seeds"])
        return RunSpec(**document)
    except (OSError, ValueError, TypeError) as error:
        raise RunFailed("bad_spec", f"The run specification {path} cannot be read: {error}.") from error
