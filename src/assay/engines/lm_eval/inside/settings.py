"""Environment variables that the libraries read when they are imported: where they cache, and that they
keep off the network.
"""

from __future__ import annotations

from pathlib import Path

_ALWAYS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Bars redraw for a terminal; progress goes through the control channel.
    "TQDM_DISABLE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # One run is one process: standard errors by resampling would otherwise start a process for every core.
    "DISABLE_MULTIPROC": "1",
    # Threads made at import would forbid the host to fork: those of numpy, and that of Arrow's allocator.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


def variables(cache: Path, *, online: bool = False) -> dict[str, str]:
    """Return the variables for a process whose libraries keep their files under `cache`."""
    found = _ALWAYS | {"HF_HOME": str(cache), "LM_HARNESS_CACHE_PATH": str(cache / "lm_eval")}
    return found if online else found | _OFFLINE


def keep_offline() -> dict[str, str]:
    """Return the variables that keep the libraries off the network and from starting helpers, whatever
    else is set.
    """
    return _ALWAYS | _OFFLINE
