"""Canonical JSON against RFC 8785, and the digest made from it."""

from __future__ import annotations

import json
import math
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.identity import canonical, digest, number

from .json_values import EXACT, json_of

# RFC 8785, appendix B: the bits of a double, and its text.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_a_number_has_the_text_of_appendix_b(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert number(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_canonical_json(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": [value]})


def test_the_sample_of_section_3_2_2_comes_out_as_printed_there() -> None:
    sample = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        r"""{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"""
        r""""string":"€$\u000f\nA'B\"\\\\\"/"}"""
    )
    assert canonical(json.loads(sample)).decode() == expected


def test_members_are_sorted_by_utf_16_code_units() -> None:
    names = ["€", "\r", "\ufb33", "1", "\U0001f600", "\x80", "ö"]
    sorted_names = list(json.loads(canonical(dict.fromkeys(names, 0))))
    assert sorted_names == ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize("code", [*range(0x20), 0x22, 0x5C, 0x7F, 0x80, 0x2028, 0x2029, 0xFEFF])
def test_text_is_escaped_only_where_json_demands_it(code: int) -> None:
    short = {8: r"\b", 9: r"\t", 10: r"\n", 12: r"\f", 13: r"\r", 0x22: r"\"", 0x5C: r"\\"}
    expected = short.get(code, f"\\u{code:04x}" if code < 0x20 else chr(code))
    assert canonical(chr(code)).decode() == f'"{expected}"'


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, {"a": ["\udfff"]}])
def test_a_lone_surrogate_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        canonical(value)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**63), 2**64 - 1])
def test_an_integer_that_a_double_cannot_hold_exactly_stands_as_its_digits(value: int) -> None:
    assert canonical(value) == str(value).encode()


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**400])
def test_an_integer_of_more_than_64_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="beyond 64 bits"):
        canonical(value)


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}])
def test_what_json_has_no_word_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no canonical JSON"):
        canonical(value)


@given(json_of(EXACT))
def test_canonical_json_decodes_to_the_value_it_was_made_from(value: Any) -> None:
    assert json.loads(canonical(value), parse_int=float) == value


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same value with the members of every object in another order."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance) for name in names}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@given(json_of(EXACT), st.randoms(use_true_random=False))
def test_the_order_in_which_members_were_written_changes_nothing(value: Any, chance: random.Random) -> None:
    other = shuffled(value, chance)
    assert canonical(other) == canonical(value)
    assert digest(other) == digest(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_reads_back_as_the_same_double(value: float) -> None:
    assert float(number(value)) == value


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_same_as_an_integer_and_as_a_double(value: int) -> None:
    assert canonical(float(value)) == canonical(value)


@given(json_of(EXACT), json_of(EXACT))
def test_values_that_differ_have_different_digests(one: Any, other: Any) -> None:
    same = canonical(one) == canonical(other)
    assert (digest(one) == digest(other)) is same


def test_a_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
