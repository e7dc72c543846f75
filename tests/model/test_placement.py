"""What runs may ask for of their worker."""

from __future__ import annotations

import pytest

from assay.model.errors import ValidationFailed
from assay.model.placement import MOST_GPUS, RESOURCES
from assay.model.shapes import read
from assay.model.submission import JOB

BODY = {"name": "n", "model": {"name": "m", "url": "http://h/v1"}}


@pytest.mark.parametrize("gpus", [0, 1, MOST_GPUS])
def test_a_number_of_gpus_that_a_machine_can_have_is_taken(gpus: int) -> None:
    assert read(RESOURCES, "Resources", {"gpus": gpus}) == {"gpus": gpus}


@pytest.mark.parametrize("gpus", [MOST_GPUS + 1, 2**31, 2**63 - 1])
def test_a_number_of_gpus_that_no_machine_has_is_refused_by_the_name_of_its_member(gpus: int) -> None:
    benchmark = {"id": "b", "provider_id": "p"}
    with pytest.raises(ValidationFailed, match=r"'resources\.gpus must be 1024 at the most"):
        read(JOB, "EvaluationJobConfig", BODY | {"benchmarks": [benchmark], "resources": {"gpus": gpus}})
    with pytest.raises(ValidationFailed, match=r"'benchmarks\[0\]\.resources\.gpus must be 1024 at the most"):
        read(JOB, "EvaluationJobConfig", BODY | {"benchmarks": [benchmark | {"resources": {"gpus": gpus}}]})


@pytest.mark.parametrize("written", [False, True])
def test_the_description_of_the_api_says_how_many_gpus_a_run_may_ask_for(written: bool) -> None:
    described = RESOURCES.schema(written=written)["properties"]["gpus"]
    assert (described["minimum"], described["maximum"]) == (0, MOST_GPUS)
