"""Catalogue entries, as the EvalHub contract has them: providers with their benchmarks, and collections.

`runtime.assay` is ours: the engine that carries a provider's benchmarks out, and that engine's own settings.
"""

from __future__ import annotations

from typing import Final

from assay.model.shapes import Free, Integer, ListOf, Member, Number, Object, Text, TextMap
from assay.model.submission import LIMITS, MOST_BENCHMARKS, PASS_CRITERIA, PRIMARY_SCORE, QUANTITY, TAGS, TEST_DATA, TEXT

_TEXTS: Final = ListOf(TEXT)
_DESCRIPTION: Final = Text(most=1024)
_TAXONOMY: Final = ("domains", "tasks", "modalities", "evaluation_targets")
_READING: Final = Object(
    (
        Member("result_interpretation", TEXT),
        Member(
            "score_ranges",
            ListOf(Object((Member("range", TEXT, required=True), Member("meaning", TEXT, required=True)))),
        ),
    )
)

BENCHMARK_ENTRY: Final = Object(
    (
        Member("id", TEXT, always=True),
        Member("url", TEXT),
        Member("name", TEXT, always=True),
        Member("description", _DESCRIPTION),
        Member("category", TEXT, always=True),
        Member("metrics", _TEXTS),
        Member("num_few_shot", Integer(), always=True),
        Member("dataset_size", Integer(), always=True),
        Member("tags", _TEXTS),
        Member("primary_score", PRIMARY_SCORE),
        Member("pass_criteria", PASS_CRITERIA),
        Member("agent", _READING),
        *(Member(name, _TEXTS) for name in _TAXONOMY),
        Member("task", TEXT),
        Member("endpoint", Text(one_of=("chat", "completions"))),
    )
)

_AGENT: Final = (
    Member("evaluates", _TEXTS),
    Member("recommended_when", _TEXTS),
    Member("target_type", Text(one_of=("model", "agent", "inference_server"))),
    Member("summary", Text(most=200)),
    Member("complements", _TEXTS),
    Member("hints", _TEXTS),
    Member("result_interpretation", _TEXTS),
)

_ENVIRONMENT: Final = ListOf(Object((Member("Name", TEXT), Member("Value", TEXT))))
_GPU: Final = Object(
    (Member("resource", TEXT), Member("count", Integer(least=0), always=True), Member("node_selector", TextMap()))
)
_POD: Final = (
    Member("image", TEXT, always=True, also="Image"),
    Member("entrypoint", _TEXTS, always=True, also="Entrypoint"),
    Member("cpu_request", QUANTITY, always=True, also="CPURequest"),
    Member("memory_request", QUANTITY, always=True, also="MemoryRequest"),
    Member("cpu_limit", QUANTITY, always=True, also="CPULimit"),
    Member("memory_limit", QUANTITY, always=True, also="MemoryLimit"),
    Member("gpu", _GPU),
    Member("env", _ENVIRONMENT, always=True, also="Env"),
    Member("image_pull_policy", Text(one_of=("if_not_present", "always"))),
)
POD_NAMES: Final = {member.name: member.also for member in _POD if member.also}
"""How EvalHub's answers spell the members of `runtime.k8s` that its files spell in snake case."""

_RUNTIME: Final = Object(
    (
        Member("k8s", Object(_POD)),
        Member("local", Object((Member("command", TEXT), Member("env", _ENVIRONMENT)))),
        Member(
            "assay",
            Object(
                (
                    Member("engine", TEXT, required=True),
                    Member("include_path", TEXT),
                    *LIMITS,
                )
            ),
        ),
    )
)

PROVIDER: Final = Object(
    (
        Member("name", TEXT, always=True),
        Member("description", _DESCRIPTION),
        Member("title", TEXT, always=True),
        Member("tags", TAGS),
        Member("benchmarks", ListOf(BENCHMARK_ENTRY, most=20_000), always=True),
        Member("runtime", _RUNTIME),
        Member("custom", Free()),
        Member("agent", Object(_AGENT)),
    )
)
"""`ProviderConfig`."""

COLLECTION: Final = Object(
    (
        Member("name", TEXT, required=True),
        Member("description", _DESCRIPTION),
        Member("category", Text(most=128), required=True),
        Member("tags", TAGS),
        Member("custom", Free()),
        Member("pass_criteria", PASS_CRITERIA),
        Member(
            "benchmarks",
            ListOf(
                Object(
                    (
                        Member("id", TEXT, required=True, label="Ref.id"),
                        Member("provider_id", TEXT, required=True),
                        Member("url", TEXT),
                        Member("weight", Number(least=0), zero=True),
                        Member("primary_score", PRIMARY_SCORE),
                        Member("pass_criteria", PASS_CRITERIA),
                        Member("parameters", Free()),
                        Member("test_data_ref", TEST_DATA),
                        *LIMITS,
                    )
                ),
                least=1,
                most=MOST_BENCHMARKS,
            ),
            required=True,
        ),
        Member("agent", Object(tuple(member for member in _AGENT if member.name != "target_type"))),
        Member("curation_order", Integer(least=0)),
        *(Member(name, _TEXTS) for name in ("domains", "tasks", "modalities", "industries", "evaluation_targets")),
    )
)
"""`CollectionConfig`."""
