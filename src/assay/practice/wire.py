"""What clients send: the OpenAI and vLLM request bodies that the endpoint understands, and errors for others.

Unknown members are ignored, as real endpoints do. Formats: https://platform.openai.com/docs/api-reference and
vLLM's OpenAI-compatible server (`/tokenize`, `/detokenize`).
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

Body = TypeVar("Body", bound=Struct)

MAX_CONTEXT = 32_768
"""Tokens of prompt and answer together."""

Count = Annotated[int, Meta(ge=0, le=MAX_CONTEXT)]
Temperature = Annotated[float, Meta(ge=0, le=10)]
TopP = Annotated[float, Meta(gt=0, le=1)]
Choices = Annotated[int, Meta(ge=1, le=128)]
Alternatives = Annotated[int, Meta(ge=0, le=20)]
StopText = Annotated[str, Meta(min_length=1)]


class ApiError(Exception):
    """An answer other than 200. The message tells the client what to change."""

    def __init__(self, status: int, message: str, kind: str, code: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.param = status, message, kind, code, param
        self.headers: dict[str, str] = {}

    def body(self) -> bytes:
        """The OpenAI error document."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def invalid(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """A request that the client must change."""
    return ApiError(400, message, "invalid_request_error", code, param=param)


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool = False


class Sampling(Struct, kw_only=True):
    """The members that chat and completions share."""

    model: str
    temperature: Temperature | None = None
    top_p: TopP | None = None
    n: Choices | None = None
    seed: int | None = None
    stop: str | list[StopText] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None

    def stops(self) -> tuple[str, ...]:
        """The stop strings; an empty one is none."""
        if isinstance(self.stop, str):
            return (self.stop,) if self.stop else ()
        return tuple(self.stop or ())

    def wants_usage(self) -> bool:
        """Whether a stream shall end with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(Sampling, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | int | list[int]]
    echo: bool | None = None
    logprobs: Alternatives | None = None


class Part(Struct):
    """A piece of a chat message; only text is understood."""

    type: str
    text: str | None = None


class Message(Struct):
    """A chat message."""

    role: str
    content: str | list[Part] | None = None


class ChatRequest(Sampling, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None


class TokenizeRequest(Struct):
    """`POST /tokenize`: a prompt, or chat messages."""

    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool | None = None


class DetokenizeRequest(Struct):
    """`POST /detokenize`."""

    tokens: list[int]


def decode(body: bytes, kind: type[Body]) -> Body:
    """`body` as a `kind`. Raises ApiError 400 that names the member at fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        param = path.rstrip("`").lstrip(".") or None
        raise invalid(f"{sentence}{f' at {param}' if param else ''}", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The request body is not valid JSON: {error}", code="invalid_json") from None
