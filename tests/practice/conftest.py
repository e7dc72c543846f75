"""Fixtures shared by the tests of the practice model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assay.practice.fitting import LanguageModel, practice_language_model

from .endpoint import Endpoint, running


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """The model as shipped."""
    return practice_language_model()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """An endpoint without faults; tests must not depend on its counters."""
    with running() as server:
        yield server
