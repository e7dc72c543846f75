"""Requests made from the API's own description: none may break the server, every answer must be one that is described.

`make fuzz` does the same with many more cases (tests/server/fuzz.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from schemathesis import GenerationMode

from assay.server.routes import Route
from assay.server.table import ROUTES
from tests.server.described import Fuzzer
from tests.server.serving import Served

EXAMPLES = 14
SEED = 20_260_101


@pytest.fixture(scope="session")
def fuzzer(served: Served) -> Fuzzer:
    return Fuzzer(served.api)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_an_answer_is_one_that_is_described(route: Route, mode: GenerationMode, fuzzer: Fuzzer) -> None:
    fuzzer.ask(fuzzer.schema[route.path][route.method], mode, EXAMPLES, SEED)


def test_walking_along_links_gives_described_answers(fuzzer: Fuzzer) -> None:
    fuzzer.follow(examples=6, steps=8, seed_of_run=SEED)


def test_no_case_left_a_traceback(fuzzer: Fuzzer, served: Served) -> None:
    fuzzer.follow(examples=1, steps=2, seed_of_run=SEED)
    assert "Traceback" not in Path(served.log).read_text()
