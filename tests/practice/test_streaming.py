"""Streams carry the same answers as whole documents."""

from __future__ import annotations

import json
from typing import Any

from .endpoint import Endpoint, Reply


def chunks(reply: Reply) -> list[Any]:
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.events[-1] == "[DONE]"
    return [json.loads(event) for event in reply.events[:-1]]


def test_a_streamed_completion_adds_up_to_the_whole_one(endpoint: Endpoint) -> None:
    whole = endpoint.complete("The farmer", max_tokens=20).json["choices"][0]
    parts = chunks(endpoint.complete("The farmer", max_tokens=20, stream=True))
    assert "".join(part["choices"][0]["text"] for part in parts) == whole["text"]
    assert [part["choices"][0]["finish_reason"] for part in parts][-1] == whole["finish_reason"]
    assert len(parts) > 5
    assert all(part["object"] == "text_completion" for part in parts)


def test_a_streamed_chat_adds_up_to_the_whole_one(endpoint: Endpoint) -> None:
    whole = endpoint.chat("Hello").json["choices"][0]
    parts = chunks(endpoint.chat("Hello", stream=True))
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == whole["message"]["content"]
    assert deltas[-1] == {}
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"


def test_several_choices_are_told_apart_by_index(endpoint: Endpoint) -> None:
    parts = chunks(endpoint.complete("The", stream=True, n=3, temperature=1, echo=True))
    texts = ["", "", ""]
    for part in parts:
        texts[part["choices"][0]["index"]] += part["choices"][0]["text"]
    whole = endpoint.complete("The", n=3, temperature=1, echo=True).json["choices"]
    assert texts == [choice["text"] for choice in whole]


def test_usage_comes_last_when_asked_for(endpoint: Endpoint) -> None:
    plain = chunks(endpoint.chat("What is 7 plus 5?", stream=True))
    assert all("usage" not in part for part in plain)
    parts = chunks(endpoint.chat("What is 7 plus 5?", stream=True, stream_options={"include_usage": True}))
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"] == endpoint.chat("What is 7 plus 5?").json["usage"]


def test_log_probabilities_come_with_the_last_chunk(endpoint: Endpoint) -> None:
    whole = endpoint.complete("The farmer", logprobs=1).json["choices"][0]["logprobs"]
    parts = chunks(endpoint.complete("The farmer", logprobs=1, stream=True))
    assert parts[-1]["choices"][0]["logprobs"] == whole
