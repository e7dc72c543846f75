"""The model server's own tokenizer, asked for many texts at once.

lm_eval's `remote` tokenizer makes two blocking calls for every request. This one has the same interface and
gives the same tokens, but it is told beforehand which texts will be needed, fetches each of them once,
concurrently, and then answers from memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import aiohttp
from lm_eval.utils import RemoteTokenizer

from .client import REACH_REMEDY, Channel, ModelClient, SampleFailed
from .failures import RunFailed


class PrefetchedTokenizer(RemoteTokenizer):  # type: ignore[misc]
    """Tokens of texts that `prefetch` has fetched. A text that could not be tokenised raises its
    SampleFailed.
    """

    def __init__(self, client: ModelClient, root: str, info: dict[str, Any]) -> None:
        # The parent's constructor opens a blocking session; only its template rendering and token names are
        # wanted.
        self._lock = threading.RLock()
        self._tokenizer_info = info
        self._chat_template_obj = None
        self._client = client
        self._root = root
        self._known: dict[str, list[int] | SampleFailed] = {}

    def prefetch(self, texts: Iterable[str]) -> None:
        """Fetch the tokens of every text that is not known yet."""
        wanted = [text for text in dict.fromkeys(texts) if text not in self._known]
        if wanted:
            found = self._client.gather(len(wanted), lambda channel, i: self._fetch(channel, wanted[i]))
            self._known.update(zip(wanted, found, strict=True))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of `text`, without special tokens."""
        self.prefetch([text])
        found = self._known[text]
        if isinstance(found, SampleFailed):
            raise found
        return found

    def decode(self, tokens: list[int]) -> str:
        """Return the text of `tokens`."""

        async def one(channel: Channel, _: int) -> str:
            reply = await channel.post(f"{self._root}/detokenize", {"tokens": tokens}, counted=False)
            return str(reply["prompt"])

        found = self._client.gather(1, one)[0]
        if isinstance(found, SampleFailed):
            raise found
        return found

    async def _fetch(self, channel: Channel, text: str) -> list[int]:
        payload = {"prompt": text, "add_special_tokens": False}
        reply = await channel.post(f"{self._root}/tokenize", payload, counted=False)
        tokens = reply.get("tokens") if isinstance(reply, dict) else None
        if not isinstance(tokens, list):
            raise SampleFailed("bad_reply", "the reply of /tokenize holds no tokens")
        return tokens


class TextRecorder:
    """Stands in for a tokenizer to learn which texts would be tokenised; its tokens mean nothing."""

    bos_token_id = 0
    eos_token_id = 0

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        """Note `text`."""
        self.texts.append(text)
        return [0]


def tokenizer_info(root: str, headers: dict[str, str]) -> dict[str, Any] | None:
    """Return what the server says of its tokenizer, or None where it offers none. Raises RunFailed if it
    is not there.
    """
    return asyncio.run(_tokenizer_info(root, headers))


async def _tokenizer_info(root: str, headers: dict[str, str]) -> dict[str, Any] | None:
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{root}/tokenizer_info") as response,
        ):
            if response.status != 200:
                return None
            info = await response.json(content_type=None)
    except ValueError:
        return None
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RunFailed(
            "model_unreachable",
            f"The model cannot be reached: {reason}. {REACH_REMEDY}",
            temporary=True,
        ) from error
    return info if isinstance(info, dict) and "eos_token" in info else None
