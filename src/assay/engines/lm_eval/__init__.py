"""The lm_eval engine, seen from the worker and the server: neither ever imports lm_eval.

`spec` describes a run, `commands` starts it as a process of its own, `warm` starts it as a fork of the engine
host, `results` reads what it measured, `preflight` checks a task folder before anything is queued, `tasks`
knows lm_eval's own tasks. What runs inside the engine's environment is in `inside/`.
"""

from assay.engines.lm_eval.commands import cold_command, engine_environment, plain_command
from assay.engines.lm_eval.results import RunResult, flat_metrics, parse_result
from assay.engines.lm_eval.spec import LmEvalSpec
from assay.engines.lm_eval.tasks import known_task
from assay.engines.lm_eval.warm import EngineHost, Exit, HostedProcess, HostUnavailable

__all__ = [
    "EngineHost",
    "Exit",
    "HostUnavailable",
    "HostedProcess",
    "LmEvalSpec",
    "RunResult",
    "cold_command",
    "engine_environment",
    "flat_metrics",
    "known_task",
    "parse_result",
    "plain_command",
]
