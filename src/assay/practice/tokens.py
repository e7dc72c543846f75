"""Text to token ids and back: whole words where the corpus knows them, single bytes for everything else.

A token is one of 256 bytes, the mark `<|end|>` between documents, or a word of the corpus with the one space
or newline before it and a colon after it. Bytes make the vocabulary total: every string has exactly one
tokenisation, and it spells the string again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

END = "<|end|>"
"""The mark between documents: begins a text and ends an answer."""
END_ID = 256

_PIECE = re.compile(r"<\|end\|>|[ \n]?[A-Za-z]+:?|[ \n]?[0-9]+|[\s\S]")


def pieces(text: str) -> list[str]:
    """Cut `text` into candidate words; joined again they are `text`."""
    return _PIECE.findall(text)


class Vocabulary:
    """A fixed set of tokens, numbered from 0: bytes, `<|end|>`, then `words` in the order given."""

    def __init__(self, words: Iterable[str]) -> None:
        self._ids: dict[str, int] = {chr(byte): byte for byte in range(128)}
        self._ids[END] = END_ID
        self._bytes: list[bytes] = [bytes([byte]) for byte in range(256)] + [END.encode()]
        for word in words:
            if word not in self._ids:
                self._ids[word] = len(self._bytes)
                self._bytes.append(word.encode())
        self._texts = [_shown(token) for token in self._bytes]

    def __len__(self) -> int:
        return len(self._bytes)

    def tokenise(self, text: str) -> list[int]:
        """The token ids of `text`; an unknown word becomes its UTF-8 bytes."""
        ids = self._ids
        tokens: list[int] = []
        for piece in pieces(text):
            token = ids.get(piece)
            if token is None:
                tokens.extend(piece.encode())
            else:
                tokens.append(token)
        return tokens

    def bytes_of(self, token: int) -> bytes:
        """The bytes that the token stands for."""
        return self._bytes[token]

    def text_of(self, token: int) -> str:
        """The token as answers show it; part of a character is `bytes:\\xNN`, so no two look alike."""
        return self._texts[token]

    def detokenise(self, tokens: Sequence[int]) -> str:
        """The text of the tokens; what is no UTF-8 becomes U+FFFD. Raises IndexError for an unknown id."""
        return b"".join([self._bytes[token] for token in tokens]).decode("utf-8", "replace")


def _shown(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
