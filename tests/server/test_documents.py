from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.server.documents import Documents, Pages

LIMIT = 20_000
KEYS = st.sampled_from("abcdefgh")
PUTS = st.lists(st.tuples(KEYS, st.integers(1, 3), st.integers(0, 4_000)), max_size=60)


@given(PUTS)
def test_what_is_kept_is_what_was_put_last_and_never_more_than_the_limit(puts: list[tuple[str, int, int]]) -> None:
    documents, last = Documents(LIMIT), dict[str, tuple[int, bytes]]()
    for key, version, length in puts:
        document = b"%d" % version * length
        assert documents.put(key, version, document) == document
        if length <= LIMIT // 16:
            last[key] = version, document
        assert documents.size <= LIMIT
    for key, (version, document) in last.items():
        kept = documents.get(key, version)
        assert kept == (document if documents.keeps(key) else None)
        assert documents.get(key, version + 1) is None


def test_what_was_used_longest_ago_goes_first() -> None:
    documents = Documents(5_000)
    for key in "abc":
        documents.put(key, 1, b"x" * 300)
    documents.get("a", 1)
    documents.put("b", 2, b"y" * 300)
    for more in range(20):
        documents.put(str(more), 1, b"z" * 300)
        if not documents.keeps("c"):
            break
    assert documents.keeps("a")
    assert documents.keeps("b")


def test_size_is_what_the_documents_that_are_left_take() -> None:
    one, other = Documents(), Documents()
    for version in range(5):
        one.put("a", version, b"x" * version)
    other.put("a", 4, b"xxxx")
    assert one.size == other.size > 4


def test_what_was_kept_of_an_older_generation_takes_no_memory() -> None:
    pages = Pages()
    for key in "abc":
        pages.put(key, 1, b"x" * 1_000)
    pages.put("a", 2, b"y")
    assert not pages.keeps("b")
    assert pages.get("a", 2) == b"y"
    assert pages.size < 1_000
