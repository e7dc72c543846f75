"""The white-lists of patches: which operation is permitted at which path, of providers and of collections."""

from __future__ import annotations

import pytest

from assay.model.errors import PatchNotAllowed
from assay.model.patching import COLLECTION_RULES, OPERATIONS, PROVIDER_RULES, Operation, Rules, read

ALL = frozenset(OPERATIONS)
REPLACE = frozenset({"replace"})
NONE: frozenset[str] = frozenset()

OF_PROVIDERS = {
    "/name": REPLACE,
    "/name/x": NONE,
    "/title": ALL,
    "/description": ALL,
    "/description/x": NONE,
    "/tags": ALL,
    "/tags/-": ALL,
    "/tags/0": ALL,
    "/custom": ALL,
    "/custom/a/b": ALL,
    "/agent": ALL,
    "/agent/hints/0": ALL,
    "/runtime": REPLACE,
    "/runtime/local/command": REPLACE,
    "/benchmarks": REPLACE,
    "/benchmarks/0/name": REPLACE,
    "/benchmarks/-": REPLACE,
    "/benchmarksx": NONE,
    "/Name": NONE,
    "/": NONE,
    "//name": NONE,
    "name": NONE,
    "/id": NONE,
    "/resource": NONE,
    "/resource/owner": NONE,
    "/category": NONE,
    "/pinned_order": NONE,
}
OF_COLLECTIONS = {
    "/name": REPLACE,
    "/category": REPLACE,
    "/description": ALL,
    "/pass_criteria": ALL,
    "/pass_criteria/threshold": NONE,
    "/tags": ALL,
    "/tags/0": ALL,
    "/custom": ALL,
    "/custom/a": ALL,
    "/benchmarks": REPLACE,
    "/benchmarks/0/weight": REPLACE,
    "/pinned_order": frozenset({"replace", "add"}),
    "/pinned_order/x": NONE,
    **{f"/{name}": ALL for name in ("domains", "tasks", "modalities", "industries", "evaluation_targets")},
    **{f"/{name}/-": ALL for name in ("domains", "tasks", "modalities", "industries", "evaluation_targets")},
    "/agent": NONE,
    "/agent/summary": NONE,
    "/curation_order": NONE,
    "/status": NONE,
    "/status/run_count": NONE,
    "/derived_from": NONE,
    "/resource/tenant": NONE,
    "/title": NONE,
}
CASES = [
    (rules, path, op, op in allowed)
    for rules, paths in ((PROVIDER_RULES, OF_PROVIDERS), (COLLECTION_RULES, OF_COLLECTIONS))
    for path, allowed in paths.items()
    for op in OPERATIONS
]


@pytest.mark.parametrize(("rules", "path", "op", "permitted"), CASES, ids=lambda value: str(value)[:40])
def test_an_operation_is_permitted_where_the_contract_says(rules: Rules, path: str, op: str, permitted: bool) -> None:
    if permitted:
        assert read([{"op": op, "path": path, "value": 1}], rules) == [Operation(op, path, 1)]
    else:
        with pytest.raises(PatchNotAllowed) as refused:
            read([{"op": op, "path": path, "value": 1}], rules)
        assert refused.value.message == f"The operation '{op}' is not allowed for the path '{path}'."
