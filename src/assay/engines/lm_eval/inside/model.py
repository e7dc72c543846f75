"""The model as lm_eval sees it: the library's own OpenAI-style classes with another way of sending.

Payloads, tokenisation and parsing are inherited, so the numbers are those of the ordinary command. Replaced
is what happens around a request: all of them go through one client, a request that fails for good yields
`Failed` in place of an answer, and every finished request is counted for its sample.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lm_eval.models.api_models import (
    LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER,
    JsonChatStr,
    TemplateAPI,
    create_image_prompt,
)
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from .client import Channel, ModelClient, SampleFailed
from .failures import RunFailed
from .spec import RunSpec
from .tokenizer import PrefetchedTokenizer, TextRecorder, tokenizer_info

Tokens = list[int]


@dataclass(frozen=True)
class Failed:
    """Stands where an answer would be. `kind` is a stable word, `message` a sentence."""

    kind: str
    message: str


class IsolatedRequests(TemplateAPI):  # type: ignore[misc]
    """Stands before one of the library's API classes: sends its requests through `client`, each failing
    alone.
    """

    client: ModelClient
    tokenizer: Any
    done: Callable[[Any], None]
    """Called with the instance of every finished request."""
    null_answers: int = 0
    _scored_one: bool = False
    _unscored: int = 0

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Return a text, or Failed, for every request."""
        prompts = [_prompt(self, request) for request in requests]
        if self.tokenized_requests and self.tokenizer_backend == "remote":
            self.tokenizer.prefetch(prompts)

        async def one(channel: Channel, number: int) -> str:
            options = copy.deepcopy(requests[number].args[1])
            prompt = prompts[number]
            if self.tokenized_requests:
                room = self.max_length - options.get("max_gen_toks", self._max_gen_toks)
                prompt = self.tok_encode(prompt, add_special_tokens=self.add_bos_token)[-room:]
            payload = self._create_payload(
                self.create_message([prompt]),
                generate=True,
                gen_kwargs=options,
                seed=self._seed,
                # The library adds the end-of-text string only to requests that it sends one by one.
                eos=self.eos_string if self._concurrent <= 1 else None,
            )
            return self._text(await channel.post(self.base_url, payload))

        return self._answers(requests, one)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Return (log-probability, is greedy), or Failed, for every request."""
        self._prefetch(lambda: [self._pair(*request.args) for request in requests])

        async def one(channel: Channel, number: int) -> tuple[float, bool]:
            context, continuation = self._pair(*requests[number].args)
            return await self._scored(channel, context, continuation)

        return self._answers(requests, one)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Return the log-probability of each whole text, or Failed."""
        self._prefetch(lambda: [self.tok_encode(request.args[0]) for request in requests])

        async def one(channel: Channel, number: int) -> float:
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(requests[number].args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length - 1,
                context_len=1,
            )
            pairs = [make_disjoint_window(window) for window in windows]
            return sum([(await self._scored(channel, *pair))[0] for pair in pairs])

        return self._answers(requests, one)

    def _answers(self, requests: list[Any], one: Callable[[Channel, int], Any]) -> list[Any]:
        async def counted(channel: Channel, number: int) -> Any:
            try:
                return await one(channel, number)
            finally:
                self.done(requests[number])

        outcomes = self.client.gather(len(requests), counted)
        return [Failed(o.kind, o.message) if isinstance(o, SampleFailed) else o for o in outcomes]

    def _prefetch(self, tokenise: Callable[[], Any]) -> None:
        """Fetch every text that `tokenise` asks for, by running it once against a recorder."""
        tokenizer = self.tokenizer
        if isinstance(tokenizer, PrefetchedTokenizer):
            self.tokenizer = recorder = TextRecorder()
            try:
                tokenise()
            finally:
                self.tokenizer = tokenizer
                # Remembered by the library as soon as it is asked for.
                self.__dict__.pop("prefix_token_id", None)
            names = [name for name in (tokenizer.bos_token, tokenizer.eos_token) if name]
            tokenizer.prefetch([*names, *recorder.texts])

    def _pair(self, context: str, continuation: str) -> tuple[Tokens, Tokens]:
        if context:
            pair: tuple[Tokens, Tokens] = self._encode_pair(context, continuation)
            return pair
        tokens = self.tok_encode(continuation, add_special_tokens=False)
        prefix = self.prefix_token_id
        return (tokens[:1], tokens[1:]) if tokens[:1] == [prefix] else ([prefix], tokens)

    async def _scored(self, channel: Channel, context: Tokens, continuation: Tokens) -> tuple[float, bool]:
        inputs, lengths, _ = self.batch_loglikelihood_requests([[(None, context, continuation)]])
        payload = self._create_payload(
            self.create_message(inputs),
            generate=False,
            seed=self._seed,
        )
        reply = await channel.post(self.base_url, payload)
        if len(_echoed(reply)) < len(inputs[0]):
            raise self._without_logprobs(channel.in_flight)
        self._scored_one = True
        try:
            score, greedy = self.parse_logprobs(outputs=reply, tokens=inputs, ctxlens=lengths)[0]
            return float(score), bool(greedy)
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            raise SampleFailed("bad_reply", f"the log-probabilities cannot be read ({type(error).__name__})") from error

    def _without_logprobs(self, in_flight: int) -> Exception:
        self._unscored += 1
        if self._scored_one or self._unscored < in_flight:
            message = "the reply does not hold the log-probabilities of the whole prompt"
            return SampleFailed("no_logprobs", message)
        return RunFailed(
            "logprobs_unsupported",
            "The model's completions endpoint does not return the log-probabilities of the prompt (`echo` "
            "with `logprobs`), which this benchmark is scored by. Serve the model with support for them, or "
            "choose a benchmark that generates text.",
        )

    def _text(self, reply: Any) -> str:
        if not isinstance(reply, dict) or not isinstance(reply.get("choices"), list) or not reply["choices"]:
            raise SampleFailed("bad_reply", "the reply holds no choices")
        try:
            text = self.parse_generations(outputs=reply)[0]
        except (LookupError, TypeError) as error:
            raise SampleFailed("bad_reply", f"the reply cannot be read ({type(error).__name__})") from error
        if text is None:
            self.null_answers += 1
            return str(LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER)
        return str(text)


class CompletionsModel(IsolatedRequests, LocalCompletionsAPI):  # type: ignore[misc]
    """A model behind `/completions`."""

    source: ClassVar[str] = "local-completions"


class ChatModel(IsolatedRequests, LocalChatCompletion):  # type: ignore[misc]
    """A model behind `/chat/completions`; it cannot give log-probabilities of a prompt."""

    source: ClassVar[str] = "local-chat-completions"

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Never called: the driver refuses such tasks first."""
        raise RunFailed("needs_completions", "A chat endpoint gives no log-probabilities of a prompt.")


def connect(spec: RunSpec, done: Callable[[Any], None], *, scores_prompts: bool) -> CompletionsModel | ChatModel:
    """Return the model of `spec`. `scores_prompts`: a task needs log-probabilities, hence a tokenizer.
    Raises RunFailed.
    """
    # Taken out of the environment, which the code of a task can read.
    key = os.environ.pop(spec.api_key_env, "")
    headers = {"Authorization": f"Bearer {key}"}
    settings: dict[str, Any] = {
        "base_url": spec.url,
        "model": spec.model,
        "num_concurrent": spec.num_concurrent,
        "max_length": spec.max_length,
        "max_gen_toks": spec.max_gen_toks,
        "timeout": spec.timeout_s,
    }
    client = ModelClient(headers, spec.num_concurrent, spec.timeout_s)
    model: CompletionsModel | ChatModel
    model = ChatModel(**settings) if spec.chat else _completions(spec, settings, client, headers, scores_prompts)
    model.client = client
    model.done = done
    return model


def _completions(
    spec: RunSpec,
    settings: dict[str, Any],
    client: ModelClient,
    headers: dict[str, str],
    scores_prompts: bool,
) -> CompletionsModel:
    backend = spec.tokenizer_backend
    info = tokenizer_info(spec.server_root, headers) if backend in ("auto", "remote") else None
    if info is not None:
        if spec.templated:
            raise RunFailed(
                "bad_parameters",
                "apply_chat_template is not possible on a completions endpoint with the server's own "
                "tokenizer. Use the chat endpoint, or set tokenizer_backend to none.",
            )
        model = CompletionsModel(tokenizer_backend=None, **settings)
        model.tokenizer_backend, model.tokenized_requests = "remote", True
        model.tokenizer = PrefetchedTokenizer(client, spec.server_root, info)
        return model
    if backend == "huggingface" or (backend == "auto" and spec.tokenizer):
        return _with_local_tokenizer(spec, settings)
    if scores_prompts or backend == "remote":
        raise RunFailed(
            "tokenizer_missing",
            f"Benchmark '{spec.task}' needs the model's tokenizer, and the model's server does not offer one "
            "(GET /tokenizer_info and POST /tokenize beside /v1, as vLLM has them). "
            "Serve the model with these calls, or choose a benchmark that generates text.",
        )
    return CompletionsModel(tokenizer_backend=None, **settings)


def _with_local_tokenizer(spec: RunSpec, settings: dict[str, Any]) -> CompletionsModel:
    try:
        return CompletionsModel(tokenizer_backend="huggingface", tokenizer=spec.tokenizer, **settings)
    except (OSError, ValueError, ImportError) as error:  # some tokenizers need packages of their own
        name = spec.tokenizer or spec.model
        reason = str(error).splitlines()[0]
        message = f"The tokenizer '{name}' cannot be loaded: {reason} Give the path of a local folder."
        raise RunFailed("tokenizer_missing", message) from error


def _prompt(model: Any, request: Any) -> Any:
    if len(request.args) < 3:
        return request.args[0]
    pictures = request.args[2]["visual"][: model.max_images]
    return JsonChatStr(json.dumps(create_image_prompt(pictures, json.loads(request.args[0].prompt))))


def _echoed(reply: Any) -> list[Any]:
    try:
        found = reply["choices"][0]["logprobs"]["token_logprobs"]
    except (LookupError, TypeError):
        return []
    return found if isinstance(found, list) else []
