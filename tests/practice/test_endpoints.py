"""Every endpoint over HTTP, in the wire formats of OpenAI and vLLM."""

from __future__ import annotations

import math
from typing import Any

import pytest

from assay.practice.fitting import LanguageModel

from .endpoint import Endpoint

SUM = "Question: What is 7 plus 5?\nAnswer:"


def test_health_and_models(endpoint: Endpoint) -> None:
    assert endpoint.get("/health").json == {"status": "ok"}
    models = endpoint.get("/v1/models").json
    assert models["object"] == "list"
    assert [card["id"] for card in models["data"]] == ["practice"]


def test_a_chat_answers_with_usage(endpoint: Endpoint) -> None:
    reply = endpoint.chat("What is 7 plus 5?", model="any-name").json
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "any-name"
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": "12"}
    assert choice["finish_reason"] == "stop"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == 2


def test_a_chat_reads_text_parts_and_earlier_turns(endpoint: Endpoint) -> None:
    assert endpoint.chat([{"type": "text", "text": "What is 7 plus 5?"}]).json["choices"][0]["message"]["content"] == "12"
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "What is 7 plus 5?"},
    ]
    reply = endpoint.post("/v1/chat/completions", {"model": "m", "messages": messages, "temperature": 0})
    assert reply.json["choices"][0]["message"]["content"] == "12"


def test_a_chat_gives_log_probabilities(endpoint: Endpoint) -> None:
    reply = endpoint.chat("What is 7 plus 5?", logprobs=True, top_logprobs=3).json
    first = reply["choices"][0]["logprobs"]["content"][0]
    assert first["token"] == " 12"
    assert bytes(first["bytes"]) == b" 12"
    assert len(first["top_logprobs"]) == 3
    assert first["top_logprobs"][0]["logprob"] == first["logprob"] < 0


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
def test_a_chat_honours_both_names_of_the_limit(endpoint: Endpoint, member: str) -> None:
    reply = endpoint.chat("Hello", **{member: 2}).json
    assert reply["usage"]["completion_tokens"] == 2
    assert reply["choices"][0]["finish_reason"] == "length"


def test_a_completion_takes_its_prompt_in_four_forms(endpoint: Endpoint) -> None:
    tokens = endpoint.post("/tokenize", {"prompt": SUM}).json["tokens"]
    for prompt, count in ((SUM, 1), ([SUM, SUM], 2), (tokens, 1), ([tokens, tokens], 2)):
        choices = endpoint.complete(prompt).json["choices"]
        assert [choice["text"] for choice in choices] == [" 12"] * count
        assert [choice["index"] for choice in choices] == list(range(count))


def test_echo_returns_the_prompt_with_the_models_own_log_probabilities(endpoint: Endpoint, model: LanguageModel) -> None:
    text = "The bees make honey in Zürich."
    tokens = model.vocabulary.tokenise(text)
    reply = endpoint.complete([tokens], echo=True, logprobs=1, max_tokens=1).json
    (choice,) = reply["choices"]
    scores = choice["logprobs"]
    assert choice["text"].startswith(text)
    assert scores["tokens"][:-1] == [model.vocabulary.text_of(token) for token in tokens]
    assert scores["token_logprobs"][0] is None
    assert scores["top_logprobs"][0] is None
    for position in range(1, len(tokens)):
        state = model.ngrams.state_after(tokens[:position])
        expected = math.log(model.ngrams.probability(state, tokens[position]))
        assert scores["token_logprobs"][position] == expected
        assert scores["top_logprobs"][position][scores["tokens"][position]] == expected
        assert max(scores["top_logprobs"][position].values()) >= expected
    assert len(scores["token_logprobs"]) == len(tokens) + 1


def test_offsets_point_at_the_tokens_in_the_text(endpoint: Endpoint) -> None:
    text = "The bees, Zürich 12\nAnswer: 3"
    scores = endpoint.complete(text, echo=True, logprobs=0, max_tokens=0).json["choices"][0]["logprobs"]
    for token, offset in zip(scores["tokens"], scores["text_offset"], strict=True):
        if not token.startswith("bytes:"):
            assert text[offset:].startswith(token)
        else:
            assert text[offset] == "ü"


def test_one_token_more_is_always_scored_even_where_the_text_ends(endpoint: Endpoint) -> None:
    scores = endpoint.complete(SUM + " 12", echo=True, logprobs=1, max_tokens=1).json["choices"][0]
    assert scores["logprobs"]["tokens"][-1] == "<|end|>"
    assert scores["text"] == SUM + " 12"


def test_echo_with_no_new_token_scores_the_prompt_alone(endpoint: Endpoint) -> None:
    reply = endpoint.complete("The bees make", echo=True, logprobs=2, max_tokens=0).json
    (choice,) = reply["choices"]
    assert choice["text"] == "The bees make"
    assert choice["finish_reason"] == "length"
    assert [len(top) for top in choice["logprobs"]["top_logprobs"][1:]] >= [2, 2]
    assert reply["usage"]["completion_tokens"] == 0


def test_stop_n_and_seed(endpoint: Endpoint) -> None:
    assert endpoint.complete("The bees", stop=[" from"], max_tokens=50).json["choices"][0]["text"] == " fly"
    drawn = [
        [choice["text"] for choice in endpoint.complete("The", n=4, temperature=1, seed=seed).json["choices"]]
        for seed in (5, 5, 6)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 1
    assert len(endpoint.complete("The", n=3).json["choices"]) == 3


def test_the_tokenizer_endpoints_are_what_a_remote_tokenizer_needs(endpoint: Endpoint) -> None:
    info = endpoint.get("/tokenizer_info").json
    assert info["eos_token"] == info["bos_token"] == "<|end|>"
    text = "Bees 🐝 and 99 bottles"
    tokens = endpoint.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json
    assert tokens["count"] == len(tokens["tokens"])
    assert endpoint.post("/detokenize", {"tokens": tokens["tokens"]}).json == {"prompt": text}
    assert endpoint.post("/tokenize", {"prompt": info["eos_token"]}).json["count"] == 1
    chat = endpoint.post("/tokenize", {"messages": [{"role": "user", "content": "What is 7 plus 5?"}]}).json
    assert endpoint.post("/detokenize", {"tokens": chat["tokens"]}).json == {"prompt": SUM}


def test_usage_is_given_even_when_nothing_else_is_asked_for(endpoint: Endpoint) -> None:
    assert endpoint.complete("").json["usage"]["prompt_tokens"] == 0


BAD: list[tuple[str, Any, str]] = [
    ("/v1/completions", b"{not json", "JSON"),
    ("/v1/completions", b"", "JSON"),
    ("/v1/completions", {"model": "m"}, "prompt"),
    ("/v1/completions", {"model": "m", "prompt": 7}, "prompt"),
    ("/v1/completions", {"model": "m", "prompt": []}, "prompt"),
    ("/v1/completions", {"model": "m", "prompt": ["a", 1]}, "prompt"),
    ("/v1/completions", {"model": "m", "prompt": [1, 10**9]}, "1000000000"),
    ("/v1/completions", {"model": "m", "prompt": [-1]}, "-1"),
    ("/v1/completions", {"model": "m", "prompt": "a", "max_tokens": -1}, "max_tokens"),
    ("/v1/completions", {"model": "m", "prompt": "a", "max_tokens": 32768}, "context"),
    ("/v1/completions", {"model": "m", "prompt": "a", "temperature": "hot"}, "temperature"),
    ("/v1/completions", {"model": "m", "prompt": "a", "stop": [""]}, "stop"),
    ("/v1/completions", {"model": "m", "prompt": "a", "n": 0}, "n"),
    ("/v1/chat/completions", {"model": "m", "messages": []}, "messages"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}, "model"),
    ("/v1/chat/completions", {"model": "m", "messages": [{"content": "a"}]}, "role"),
    (
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "text only",
    ),
    ("/tokenize", {}, "prompt or messages"),
    ("/detokenize", {"tokens": [10**9]}, "1000000000"),
]


@pytest.mark.parametrize(("path", "body", "named"), BAD)
def test_bad_input_is_refused_with_the_member_at_fault(endpoint: Endpoint, path: str, body: Any, named: str) -> None:
    reply = endpoint.post(path, body)
    assert reply.status == 400
    error = reply.json["error"]
    assert error["type"] == "invalid_request_error"
    assert error["code"]
    assert named in error["message"]


def test_unknown_paths_and_methods_are_refused_in_the_same_form(endpoint: Endpoint) -> None:
    missing = endpoint.get("/v2/nothing")
    assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")
    wrong = endpoint.get("/v1/completions")
    assert (wrong.status, wrong.json["error"]["code"]) == (405, "method_not_allowed")
