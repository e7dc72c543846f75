"""Prompts of any form as token ids, and the chat template."""

from __future__ import annotations

from collections.abc import Sequence

from assay.practice.tokens import END, Vocabulary
from assay.practice.wire import MAX_CONTEXT, Message, invalid

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}Question: {{ message['content'] }}\nAnswer:"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}"
    + END
    + "{% else %}{{ message['content'] }}"
    + END
    + "{% endif %}"
    "{% endfor %}"
)
"""The template of `render_chat` in Jinja, for clients that build the prompt themselves."""


def render_chat(messages: Sequence[Message]) -> str:
    """The messages as the text that the model was fitted on: questions and answers, each pair a document.

    Raises ApiError for a message with content that is not text.
    """
    parts: list[str] = []
    for index, message in enumerate(messages):
        content = _text(message, index)
        if message.role == "user":
            parts.append(f"Question: {content}\nAnswer:")
        elif message.role == "assistant":
            parts.append(f" {content}{END}")
        else:
            parts.append(f"{content}{END}")
    return "".join(parts)


def _text(message: Message, index: int) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    if any(part.type != "text" or part.text is None for part in message.content):
        raise invalid(
            "This model reads text only: send content as a string or as parts of type text",
            param=f"messages[{index}].content",
        )
    return "".join([part.text or "" for part in message.content])


def token_prompts(prompt: str | Sequence[str | int | list[int]], vocabulary: Vocabulary) -> list[list[int]]:
    """The prompts of a completion request as lists of token ids, whichever of the four forms they have.

    Raises ApiError for a mixture, an empty list, or an id outside the vocabulary.
    """
    if isinstance(prompt, str):
        return [vocabulary.tokenise(prompt)]
    if not prompt:
        raise invalid("prompt must not be an empty list", param="prompt")
    kinds = {type(item) for item in prompt}
    if len(kinds) > 1:
        raise invalid("prompt must be all strings, all token ids or all lists of token ids", param="prompt")
    if kinds == {int}:
        return [known_tokens([item for item in prompt if isinstance(item, int)], vocabulary, "prompt")]
    return [
        vocabulary.tokenise(item) if isinstance(item, str) else known_tokens(item, vocabulary, "prompt")
        for item in prompt
        if not isinstance(item, int)
    ]


def known_tokens(tokens: list[int], vocabulary: Vocabulary, param: str) -> list[int]:
    """`tokens`, once they are known to be in the vocabulary. Raises ApiError."""
    if tokens and (min(tokens) < 0 or max(tokens) >= len(vocabulary)):
        strange = next(token for token in tokens if not 0 <= token < len(vocabulary))
        raise invalid(f"{strange} is no token id: this model has ids 0 to {len(vocabulary) - 1}", param=param)
    return tokens


def check_length(prompt: int, answer: int) -> None:
    """Refuse what does not fit into the context. Raises ApiError."""
    if prompt + answer > MAX_CONTEXT:
        raise invalid(
            f"The context holds {MAX_CONTEXT} tokens; {prompt} (prompt) + {answer} (answer) are too many",
            param="max_tokens",
            code="context_length_exceeded",
        )
