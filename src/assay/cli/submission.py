"""From arguments or a job file to the body of a submission. Files are read here, nothing is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.cli.exits import CommandError

Submission = dict[str, Any]

CUSTOM_PROVIDER, CUSTOM_BENCHMARK = "lm_eval", "custom"


@dataclass(frozen=True)
class Wishes:
    """What the options of `assay eval` say. Empty and None: not given."""

    benchmarks: Sequence[str] = ()
    tasks: Sequence[str] = ()
    include_path: Path | None = None
    endpoint: str | None = None
    model_url: str | None = None
    model_name: str | None = None
    secret: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    metric: str | None = None
    lower_is_better: bool = False
    threshold: float | None = None
    name: str | None = None
    tags: Sequence[str] = ()
    run_timeout_s: float | None = None


def build(wishes: Wishes, file: Path | None) -> Submission:
    """Return the submission: the job file where there is one, with the options laid over it.

    Raises CommandError for what cannot be a submission, naming file and line, or the option.
    """
    if file is None:
        body: Submission = {"benchmarks": [_named(name) for name in wishes.benchmarks]}
        body["benchmarks"] += [_custom(task, wishes) for task in wishes.tasks]
        if not body["benchmarks"]:
            raise CommandError(
                "Say what to evaluate: PROVIDER/BENCHMARK (see `assay providers list`), --task NAME, or --file JOB.yaml."
            )
    else:
        if wishes.benchmarks or wishes.tasks:
            raise CommandError("--file holds the benchmarks already: give either it, or benchmarks and tasks.")
        body = read(file)
    if not wishes.tasks and (wishes.include_path or wishes.endpoint):
        raise CommandError("--include-path and --endpoint belong to --task NAME, which is not given.")
    _lay_over(body, wishes)
    return body


def read(file: Path) -> Submission:
    """Return the submission in a YAML or JSON file; raise CommandError with the line of what is wrong."""
    try:
        content = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{file}: not a text file (UTF-8).") from None
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}. --file takes a submission as YAML or JSON.") from None
    found = _json(file, content) if file.suffix == ".json" else _yaml(file, content)
    if not isinstance(found, dict):
        raise CommandError(f"{file}, line 1: a submission is a mapping with name, model and benchmarks.")
    _check(file, content, found)
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{file}: {error}. Write dates as text, in quotes, and only numbers that have an end.") from None
    return found


def _json(file: Path, content: str) -> Any:
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise CommandError(f"{file}, line {error.lineno}, column {error.colno}: {error.msg}.") from None


def _yaml(file: Path, content: str) -> Any:
    import yaml

    from assay.config.yaml_text import parsed

    try:
        return parsed(content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CommandError(f"{file}{where}: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise CommandError(f"{file}: {error}") from None


def _check(file: Path, content: str, body: Mapping[str, Any]) -> None:
    """Refuse what the options could not be laid over. The server checks the rest, by the same names."""
    if "model" in body and not isinstance(body["model"], dict):
        raise CommandError(f"{file}, line {_line(content, 'model')}: 'model' must be a mapping with url and name.")
    if "benchmarks" not in body:
        if "collection" in body:
            return
        raise CommandError(f"{file}: 'benchmarks' is missing: a list of {{provider_id: …, id: …}}.")
    rows = body["benchmarks"]
    line = _line(content, "benchmarks")
    if not isinstance(rows, list) or not rows:
        raise CommandError(f"{file}, line {line}: 'benchmarks' must be a list of {{provider_id: …, id: …}}.")
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or not row.get("id") or not row.get("provider_id"):
            raise CommandError(f"{file}, line {line}: benchmarks[{i}] needs provider_id and id.")
        if not isinstance(row.get("parameters") or {}, dict):
            raise CommandError(f"{file}, line {line}: benchmarks[{i}].parameters must be a mapping.")


def _line(content: str, member: str) -> int:
    """Return the line on which a member of the submission is named."""
    found = re.search(rf"^\s*\{{?\s*[\"']?{member}[\"']?\s*:", content, re.MULTILINE)
    return content.count("\n", 0, found.start()) + 1 if found else 1


def _named(name: str) -> Submission:
    provider, slash, benchmark = name.partition("/")
    if not (provider and slash and benchmark):
        raise CommandError(
            f"'{name}' names no benchmark: write PROVIDER/BENCHMARK, as in practice/arithmetic. "
            "`assay providers list` shows the providers; --task NAME runs any lm_eval task."
        )
    return {"provider_id": provider, "id": benchmark}


def _custom(task: str, wishes: Wishes) -> Submission:
    parameters: dict[str, Any] = {"task": task}
    if wishes.include_path:
        parameters["include_path"] = str(wishes.include_path.absolute())
    if wishes.endpoint:
        parameters["endpoint"] = wishes.endpoint
    return {"provider_id": CUSTOM_PROVIDER, "id": CUSTOM_BENCHMARK, "parameters": parameters}


def _lay_over(body: Submission, wishes: Wishes) -> None:
    model = body.setdefault("model", {})
    if wishes.model_url:
        model["url"] = wishes.model_url
    if wishes.model_name:
        model["name"] = wishes.model_name
    if wishes.secret:
        model["auth"] = {"secret_ref": wishes.secret}
    rows = body.get("benchmarks") or []
    for row in rows:
        given = dict(wishes.parameters) | ({"num_examples": wishes.limit} if wishes.limit else {})
        if given:
            row["parameters"] = (row.get("parameters") or {}) | given
        if wishes.metric:
            row["primary_score"] = {"metric": wishes.metric, "lower_is_better": wishes.lower_is_better}
        if wishes.threshold is not None:
            row["pass_criteria"] = {"threshold": wishes.threshold}
    if wishes.threshold is not None:
        body["pass_criteria"] = {"threshold": _job_threshold(wishes.threshold, wishes.lower_is_better)}
    if wishes.tags:
        body["tags"] = list(dict.fromkeys([*(body.get("tags") or []), *wishes.tags]))
    if wishes.run_timeout_s:
        body["timeout_seconds"] = wishes.run_timeout_s
    if wishes.name or not body.get("name"):
        body["name"] = wishes.name or _name(rows, body)


def _job_threshold(threshold: float, lower_is_better: bool) -> float:
    """Return what the job's score must reach so that it agrees with the benchmarks: lower is better counts
    as 1 - x.
    """
    return 1 - threshold if lower_is_better and 0 <= threshold <= 1 else threshold


def _name(rows: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> str:
    names = [str((row.get("parameters") or {}).get("task") or row["id"]) for row in rows]
    names = names or [str(body.get("collection", {}).get("id", "evaluation"))]
    return "+".join(names[:3]) + (f"+{len(names) - 3}" if len(names) > 3 else "")


def parameters(given: Sequence[str]) -> dict[str, Any]:
    """Return the values of `-p key=value` options: JSON where it is JSON (which NaN is not), else text."""
    found: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not (key and equals):
            raise CommandError(f"-p {item}: write key=value, as in -p num_fewshot=5.")
        try:
            found[key] = json.loads(value)
            json.dumps(found[key], allow_nan=False)
        except ValueError:
            found[key] = value
    return found
