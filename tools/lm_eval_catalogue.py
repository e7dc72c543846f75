"""Writes src/assay/catalogue/providers/lm_evaluation_harness.yaml.

`.venv/bin/python tools/lm_eval_catalogue.py`, after `assay engines install lm_eval`, and again after an engine upgrade.
Which benchmarks there are, how they are called and what they are about is in lm_eval_catalogue.txt, by hand. How they are
asked and scored (output types, examples, metrics) comes from the files of the installed engine, so a task that the engine
no longer has stops the run with its name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from assay.config import data_dir, engines_dir
from assay.engines.environments import Environment, environment
from assay.engines.lm_eval.tasks import close_tasks, known_task

HERE = Path(__file__).parent
TABLE = HERE / "lm_eval_catalogue.txt"
OUTPUT = HERE.parent / "src/assay/catalogue/providers/lm_evaluation_harness.yaml"

_MOST_METRICS = 6
_LOWER_IS_BETTER = ("perplexity", "bits_per_byte")
_HEAD = """\
# Written by tools/lm_eval_catalogue.py from the installed engine and tools/lm_eval_catalogue.txt; do not edit by hand.
"""
_PROVIDER: dict[str, Any] = {
    "id": "lm_evaluation_harness",
    "name": "LM Evaluation Harness",
    "title": "LM Evaluation Harness",
    "description": (
        "Well-known benchmarks of lm-evaluation-harness, run by Assay's own engine against an OpenAI-compatible endpoint. "
        "Their data come from the Hugging Face hub: set the parameter allow_online to true, or fill the engine's cache "
        "beforehand and run offline. For any other task of the library, or one of your own, use the provider lm_eval."
    ),
    "tags": ["lm-evaluation-harness", "academic"],
    "runtime": {"assay": {"engine": "lm_eval"}},
}
_AGENT: dict[str, Any] = {
    "target_type": "model",
    "summary": "Well-known academic benchmarks of language models: knowledge, reasoning, mathematics, code, safety.",
    "evaluates": [
        "knowledge",
        "reading",
        "reasoning",
        "mathematics",
        "code",
        "truthfulness",
        "bias",
        "ethics",
        "safety",
        "context",
        "languages",
    ],
    "recommended_when": [
        "Scores are to be compared with published ones",
        "A base model or a fine-tuned one is checked for what it gained and lost",
    ],
    "complements": ["garak", "guidellm"],
    "hints": [
        "Data are downloaded only with the parameter allow_online: true; without it the engine's cache must hold them.",
        "Multiple choice and perplexity need a completions endpoint that returns log-probabilities of the prompt (echo).",
        "Set limit or num_examples to a small number first: the whole of mmlu is 56,000 requests.",
        "Benchmarks tagged runs-code execute programs that the model writes.",
    ],
    "result_interpretation": [
        "Compare a multiple choice score with that of guessing, not with zero.",
        "Scores depend on prompt format and number of examples; compare runs with the same settings only.",
        "Public test sets leak into training data, so a high score is weaker evidence than it looks.",
    ],
}


class _Plain(yaml.SafeDumper):
    """Writes every list out, rather than refer to an equal one above."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    id: str
    name: str
    description: str
    category: str
    domains: list[str]
    tasks: list[str]
    settings: dict[str, str] = field(default_factory=dict)


def main() -> int:
    """Write the catalogue file."""
    engine = environment(engines_dir(data_dir()), "lm_eval")
    if engine is None:
        return _fail("lm_eval is not installed: run `assay engines install lm_eval`")
    rows = list(table(TABLE.read_text(encoding="utf-8")))
    unknown = [row.id for row in rows if not known_task(engine, row.id)]
    if unknown:
        return _fail("\n".join(f"lm_eval has no task {name}; close: {close_tasks(engine, name)}" for name in unknown))
    found = configurations(engine, [row.id for row in rows])
    tags = [name for name, configuration in found.items() if configuration["kind"] == "tag"]
    if tags:
        return _fail(f"tags have no score of their own: {', '.join(tags)}")
    document = _PROVIDER | {"benchmarks": [entry(row, found[row.id]) for row in rows], "agent": _AGENT}
    text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    OUTPUT.write_text(_HEAD + text, encoding="utf-8")
    print(f"{len(rows)} benchmarks of lm_eval {engine.version} written to {OUTPUT}")  # noqa: T201
    return 0


def table(text: str) -> Iterator[Row]:
    """Yield the rows of the table, whose format its first lines tell."""
    category, domains, tasks, template = "", list[str](), list[str](), ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.removeprefix("==").split("|")]
        if line.startswith("=="):
            category, domains, tasks = cells[0], cells[1].split(), cells[2].split()
            template = cells[3] if len(cells) > 3 else ""
        elif line and not line.startswith("#"):
            if template:
                cells[1:2] = [f"MMLU {cells[1]}", template.format(cells[1])]
            settings = dict(pair.split("=", 1) for pair in (cells[3].split() if len(cells) > 3 else []))
            yield Row(cells[0], cells[1], cells[2], category, domains, tasks, settings)


def configurations(engine: Environment, names: list[str]) -> dict[str, Any]:
    """Return what the engine's files say of the tasks `names`: see lm_eval_configurations.py."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
    command = [str(engine.python), str(HERE / "lm_eval_configurations.py"), str(engine.task_index), *names]
    done = subprocess.run(command, env=os.environ | offline, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index(b"{") :])
    return found


def entry(row: Row, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the catalogue entry of a benchmark."""
    asked = set(configuration["output_types"])
    directions = {name.rpartition(".")[2]: higher for name, higher in configuration["metrics"]}
    primary = row.settings.get("metric") or next(iter(directions), "")
    metrics = list(dict.fromkeys([primary, *directions]))[:_MOST_METRICS]
    if primary.startswith("pass@"):
        metrics = [primary]  # lm_eval names the function that makes it
    lower = row.settings.get("lower") == "1" or not directions.get(primary, True)
    lower = lower or any(part in primary for part in _LOWER_IS_BETTER)
    lacking = packages(configuration["problem"])
    notes = [f"Needs packages that the engine's environment lacks: {', '.join(lacking)}."] if lacking else []
    notes += ["Runs code that the model writes."] if configuration["unsafe_code"] else []
    made = {
        "id": row.id,
        "name": row.name,
        "category": row.category,
        "description": " ".join([row.description, *notes]),
        "metrics": metrics,
        "num_few_shot": configuration["num_fewshot"],
        "dataset_size": int(row.settings.get("n", 0)),
        "tags": [row.category.replace("_", "-"), *_tags(asked)]
        + (["needs-packages"] if lacking else [])
        + (["runs-code"] if configuration["unsafe_code"] else []),
        "primary_score": {"metric": primary, "lower_is_better": lower},
        "domains": row.domains,
        "tasks": row.tasks,
        "modalities": ["text"],
        "evaluation_targets": ["model"],
        "endpoint": row.settings.get("endpoint") or ("chat" if asked == {"generate_until"} else "completions"),
    }
    reading = _reading(row)
    return made | ({"agent": reading} if reading else {})


def packages(problem: str) -> list[str]:
    """Return the packages whose absence a message tells of."""
    if not problem.startswith(("ModuleNotFoundError", "ImportError")):
        return []
    bare = re.search(r"No module named '([\w.]+)'|: (\w+) is not installed", problem)
    quoted = re.findall(r"([\w-]+)[>=.\d]*`|(antlr4-python3-runtime)", problem)
    return [name for name in (bare.groups() if bare else ["".join(pair) for pair in quoted]) if name]


def _tags(asked: set[str]) -> list[str]:
    kinds = {
        "generate_until": "generation",
        "multiple_choice": "multiple-choice",
        "loglikelihood": "logprobs",
        "loglikelihood_rolling": "perplexity",
    }
    return sorted(kinds[kind] for kind in asked)


def _reading(row: Row) -> dict[str, Any]:
    """Return how to read a score, from that of a guess and that of a strong general model."""
    chance, good = float(row.settings.get("chance", 0)), float(row.settings.get("good", 0))
    if not good:
        return {}
    low = min(chance + 0.05, good) if chance else good / 2
    weak = "No better than guessing; check prompt format and log-probabilities." if chance else "Weak; read some samples."
    return {
        "result_interpretation": f"{_guess(chance)}A strong open model of medium size reaches about {good:g}.",
        "score_ranges": [
            {"range": f"0-{low:.2f}", "meaning": weak},
            {"range": f"{low:.2f}-{good:.2f}", "meaning": "Ordinary: the model has some of the ability."},
            {"range": f"{good:.2f}-1.00", "meaning": "Strong; at the top of the range suspect that the test set leaked."},
        ],
    }


def _guess(chance: float) -> str:
    return f"Guessing gives about {chance:g}. " if chance else ""


def _fail(text: str) -> int:
    print(text, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
