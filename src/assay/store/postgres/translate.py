"""SQL of the shared files in PostgreSQL's words: numbered parameters, its own way to unfold a JSON list, and how to find a
text by an index that holds only its beginning (migrations/postgres/0016_index_keys.sql).

What is among those of a list is compared with an array: PostgreSQL would join a list that it thinks is long with all rows of
a table that it thinks is short.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_PARAMETER = re.compile(r"(?<!:):([a-z_]\w*)")
_AMONG = re.compile(r"IN \((SELECT value FROM json_each\(:\w+\))\)")
_UNFOLD = re.compile(r"json_each\((:\w+)\)")
_BRIEF_TEXT = re.compile(r"(j\.(?:name|model)) = (:brief_\d+)")
_LONG_TEXT = re.compile(r"(j\.(?:name|model)) = (:lead_\d+)")
_INDEX_HINT = re.compile(r" INDEXED BY \w+")


@lru_cache(maxsize=1024)
def translate(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement with `$1…` for its named parameters, and their names in that order."""
    sql = _AMONG.sub(r"= ANY (ARRAY(\1))", sql)
    sql = _UNFOLD.sub(r"jsonb_array_elements_text(CAST(\1 AS jsonb)) AS listed(value)", sql)
    sql = _BRIEF_TEXT.sub(r"\1_key = \2", sql)
    sql = _LONG_TEXT.sub(r"\1_key = left(\2, 200) AND \1 = \2", sql)
    sql = _INDEX_HINT.sub("", sql).replace("CROSS JOIN", "JOIN").replace("instr(", "strpos(")
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)


def arguments(names: tuple[str, ...], parameters: Mapping[str, Any]) -> list[Any]:
    """Return the values of the numbered parameters."""
    return [parameters[name] for name in names]
