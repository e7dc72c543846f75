"""Turns what lm_eval returns into the result of the run, and writes its artifacts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from lm_eval.loggers.evaluation_tracker import GeneralConfigTracker
from lm_eval.utils import handle_non_serializable, hash_string, sanitize_list

from .isolation import failures, filter_names, planned
from .model import ChatModel, CompletionsModel, Failed
from .secrecy import Redactor
from .spec import RunSpec

_CONCEALED_URL = "<model url>"


def result_document(
    spec: RunSpec, loaded: dict[str, Any], results: dict[str, Any], model: CompletionsModel | ChatModel
) -> dict[str, Any]:
    """Return the result event of a finished run, artifacts left out."""
    tasks = {name: _task(name, task, results) for name, task in loaded["tasks"].items()}
    groups = {
        name: {
            "metrics": _metrics(results, name, _first_filter(loaded["groups"][name])),
            "subtasks": list(results["group_subtasks"].get(name, [])),
        }
        for name in loaded.get("groups", {})
    }
    return {
        "tasks": tasks,
        "groups": groups,
        "primary": spec.task,
        "usage": dataclasses.asdict(model.client.usage),
        "lm_eval_version": results["lm_eval_version"],
    }


def _task(name: str, task: Any, results: dict[str, Any]) -> dict[str, Any]:
    n_planned, n_errored = planned(task), len(failures(task))
    version = results["versions"].get(name)
    return {
        "metrics": _metrics(results, name, filter_names(task)[0]),
        "n_planned": n_planned,
        "n_scored": n_planned - n_errored,
        "n_errored": n_errored,
        "n_shot": results["n-shot"].get(name, 0),
        "version": version if isinstance(version, int | float | str) or version is None else str(version),
        "task_hash": _task_hash(results["samples"].get(name, [])),
        "output_type": str(task.OUTPUT_TYPE),
    }


def _first_filter(group: Any) -> str:
    tasks = group.get_all_tasks()
    return filter_names(tasks[0])[0] if tasks else "none"


def _metrics(results: dict[str, Any], name: str, first_filter: str) -> dict[str, Any]:
    """The numbers of one task or group. The plain metric name is that of the first filter, others are
    `metric,filter`.
    """
    row = results["results"].get(name, {})
    directions = results["higher_is_better"].get(name) or {}
    keys = [key for key in row if "," in key and not key.split(",", 1)[0].endswith("_stderr")]
    keys.sort(key=lambda key: key.split(",", 1)[1] != first_filter)
    found: dict[str, Any] = {}
    for key in keys:
        metric, filter_name = key.split(",", 1)
        found[key if metric in found else metric] = {
            "value": number(row[key]),
            "stderr": number(row.get(f"{metric}_stderr,{filter_name}")),
            "higher_is_better": directions.get(metric),
            "filter": filter_name,
        }
    return found


def number(value: Any) -> int | float | None:
    """Return `value` as a JSON number, or None for "N/A", infinities and everything else that is no
    number.
    """
    if isinstance(value, bool | int):
        return int(value)
    try:
        plain = float(value)
    except (TypeError, ValueError):
        return None
    return plain if math.isfinite(plain) else None


def _task_hash(samples: list[dict[str, Any]]) -> str:
    return str(hash_string("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples)))


def write_artifacts(
    spec: RunSpec,
    loaded: dict[str, Any],
    results: dict[str, Any],
    tracker: GeneralConfigTracker,
    redactor: Redactor,
) -> list[dict[str, str]]:
    """Write `results.json` (the document of the ordinary command) and the samples of each task; return
    their descriptions.
    """
    folder = Path(spec.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    samples = results["samples"]
    document = {key: value for key, value in results.items() if key != "samples"}
    document["task_hashes"] = {name: _task_hash(rows) for name, rows in samples.items()}
    tracker.log_end_time()
    document |= dataclasses.asdict(tracker)
    path = folder / "results.json"
    path.write_text(redactor.clean(_json(document, indent=2)) + "\n", encoding="utf-8")
    written = [{"name": path.name, "path": str(path), "media_type": "application/json"}]
    for name, rows in samples.items() if spec.log_samples else ():
        path = folder / f"samples_{name.replace('/', '_')}.jsonl"
        failed = failures(loaded["tasks"][name])
        with path.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(redactor.clean(_json(_sample(row, failed.get(row["doc_id"])))) + "\n")
        written.append({"name": path.name, "path": str(path), "media_type": "application/jsonl"})
    return written


def _sample(row: dict[str, Any], failure: Failed | None) -> dict[str, Any]:
    """One line of the samples file, as the ordinary command writes it, with `error` where the sample has
    none to score.
    """
    line = dict(row)
    line["arguments"] = {
        f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(argument)} for i, argument in enumerate(row["arguments"])
    }
    if failure:
        line["resps"] = [[None if isinstance(a, Failed) else sanitize_list(a) for a in r] for r in row["resps"]]
        line["filtered_resps"] = []
        line["error"] = {"kind": failure.kind, "message": failure.message}
    else:
        line["resps"] = sanitize_list(row["resps"])
        line["filtered_resps"] = sanitize_list(row["filtered_resps"])
    line["target"] = str(row["target"])
    return line


def describe_model(spec: RunSpec, model: CompletionsModel | ChatModel, results: dict[str, Any]) -> GeneralConfigTracker:
    """Put into `results` what the ordinary command says of its model, the URL left out; return the rest of
    the header.
    """
    arguments = {
        "model": spec.model,
        "base_url": _CONCEALED_URL,
        "num_concurrent": spec.num_concurrent,
        "max_length": spec.max_length,
    }
    results["config"] |= {"model": model.source, "model_args": arguments, "batch_size": 1}
    tracker = GeneralConfigTracker()
    tracker.log_experiment_args(
        model_source=model.source,
        model_args=arguments,
        system_instruction=spec.system_instruction,
        chat_template=model.chat_template(True) if spec.templated else None,
        fewshot_as_multiturn=spec.fewshot_as_multiturn,
    )
    return tracker


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, default=handle_non_serializable, ensure_ascii=False, indent=indent)
