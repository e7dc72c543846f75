"""The practice model itself: vocabulary and n-grams from the text in `corpus/`, fitted when asked for."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from assay.practice.ngram import NGramModel
from assay.practice.tokens import END_ID, Vocabulary, pieces

ORDER = 8
"""Long enough to see both numbers of "What is 7 plus 5?\\nAnswer:" while predicting what follows."""


@dataclass(frozen=True)
class LanguageModel:
    """A fitted model with the vocabulary it speaks."""

    vocabulary: Vocabulary
    ngrams: NGramModel


def fit(documents: Iterable[str], order: int = ORDER) -> LanguageModel:
    """Fit a model on `documents`.

    A document with words that occur only once is read a second time with those words spelled byte by byte:
    that is where the model learns what an unknown word looks like and how the text goes on after it.
    """
    cut = [pieces(document) for document in documents]
    counts = Counter(piece for document in cut for piece in document)
    vocabulary = Vocabulary(piece for piece in counts if len(piece.encode()) > 1)
    read: list[list[int]] = []
    for document in cut:
        whole = [vocabulary.tokenise(piece) for piece in document]
        read.append([token for word in whole for token in word])
        if any(counts[piece] == 1 for piece in document):
            read.append(
                [
                    token
                    for piece, word in zip(document, whole, strict=True)
                    for token in (piece.encode() if counts[piece] == 1 else word)
                ]
            )
    return LanguageModel(vocabulary, _count(read, vocabulary, order))


def _count(read: list[list[int]], vocabulary: Vocabulary, order: int) -> NGramModel:
    """Count without the cycle collector, which would only scan the growing trie again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return NGramModel(read, size=len(vocabulary), order=order, end=END_ID)
    finally:
        if collecting:
            gc.enable()


def shipped_documents() -> list[str]:
    """The documents of `corpus/`: paragraphs, parted by blank lines."""
    folder = resources.files("assay.practice") / "corpus"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".txt")), key=lambda entry: entry.name)
    texts = [entry.read_text(encoding="utf-8") for entry in files]
    return [paragraph.strip() for text in texts for paragraph in text.split("\n\n") if paragraph.strip()]


def practice_language_model() -> LanguageModel:
    """The model fitted on the shipped text; the same on every machine."""
    return fit(shipped_documents())
