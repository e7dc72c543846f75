"""The checker of local JSON and JSON Lines data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.engines.lm_eval.inside.datafiles import BadData, count_objects, local_files

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
rows = st.lists(st.dictionaries(st.text(), values), min_size=1, max_size=12)
# Text that is whole JSON on no account: it opens something and never closes it.
broken = st.sampled_from(['{"a": 1', '{"a": [1, 2}', '{"a"', "not json", '{"a": 1}}', '"open'])


def write(folder: Path, text: str, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@given(rows=rows, ascii_only=st.booleans(), ending=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_every_row_of_valid_lines_is_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], ascii_only: bool, ending: str
) -> None:
    text = ending.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    assert count_objects(write(tmp_path_factory.mktemp("data"), text)) == len(rows)


@given(rows=rows, at=st.integers(0, 12), bad=broken)
def test_the_first_broken_line_is_named(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], at: int, bad: str
) -> None:
    lines = [json.dumps(row) for row in rows]
    at = min(at, len(lines))
    lines.insert(at, bad)
    with pytest.raises(BadData) as caught:
        count_objects(write(tmp_path_factory.mktemp("data"), "\n".join(lines)))
    assert caught.value.line == at + 1


@given(rows=rows, indent=st.sampled_from([None, 1, 2]))
def test_a_list_and_a_list_in_a_member_count_like_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None
) -> None:
    folder = tmp_path_factory.mktemp("data")
    whole = write(folder, json.dumps(rows, indent=indent), "list.json")
    inner = write(folder, json.dumps({"rows": rows, "more": 1}, indent=indent), "inner.json")
    spread = write(folder, "\n".join(json.dumps(row, indent=indent) for row in rows), "spread.json")
    assert count_objects(whole) == count_objects(inner, "rows") == count_objects(spread) == len(rows)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", None, "no samples"),
        ("\n \n", None, "no samples"),
        ("[]", None, "no samples"),
        ('{"a": 1}\n[1]\n', 2, "a list, not an object"),
        ('{"a": 1}\n"x"\n', 2, "a text, not an object"),
        ('[{"a": 1},\n 3]', None, "item 2"),
        ('[{"a": 1},\n {"a" 2}]', 2, "not valid JSON"),
    ],
)
def test_data_that_are_no_rows_are_refused(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    with pytest.raises(BadData, match=problem) as caught:
        count_objects(write(tmp_path, text))
    assert caught.value.line == line


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert count_objects(path) == 2


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(BadData, match="UTF-8") as caught:
        count_objects(path)
    assert caught.value.line == 2


def test_local_files_are_found_in_every_form_of_data_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        write(tmp_path, "{}", name)
    assert list(local_files({"train": "x", "test": ["y", "z"]})) == [Path("x"), Path("y"), Path("z")]
    assert list(local_files("x", "folder")) == [Path("folder/x")]
    assert list(local_files(str(tmp_path / "*.jsonl"))) == [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert list(local_files("https://example.org/x.jsonl")) == []
