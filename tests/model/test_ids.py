"""UUID version 7."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.ids import uuid7

MILLISECONDS = st.integers(0, 2**48 - 1)
RANDOMNESS = st.binary(min_size=10, max_size=10)


@given(MILLISECONDS, RANDOMNESS)
def test_version_variant_and_time_stand_where_rfc_9562_puts_them(milliseconds: int, randomness: bytes) -> None:
    made = uuid.UUID(uuid7(milliseconds, randomness))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == milliseconds


@given(MILLISECONDS, RANDOMNESS)
def test_every_other_bit_is_the_callers_randomness(milliseconds: int, randomness: bytes) -> None:
    made = int(uuid7(milliseconds, randomness).replace("-", ""), 16)
    fixed = 0xF << 76 | 0x3 << 62
    assert made & ((1 << 80) - 1) & ~fixed == int.from_bytes(randomness) & ~fixed


@given(st.tuples(MILLISECONDS, RANDOMNESS), st.tuples(MILLISECONDS, RANDOMNESS))
def test_identifiers_of_different_milliseconds_sort_as_text_by_time(
    one: tuple[int, bytes], other: tuple[int, bytes]
) -> None:
    if one[0] != other[0]:
        assert (uuid7(*one) < uuid7(*other)) is (one[0] < other[0])


def test_the_example_of_rfc_9562_comes_out() -> None:
    assert uuid7(0x017F22E279B0, bytes.fromhex("0cc318c4dc0c0c07398f")) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    ("milliseconds", "randomness"), [(2**48, bytes(10)), (-1, bytes(10)), (0, bytes(9)), (0, bytes(11))]
)
def test_a_time_or_randomness_of_the_wrong_size_is_refused(milliseconds: int, randomness: bytes) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(milliseconds, randomness)
