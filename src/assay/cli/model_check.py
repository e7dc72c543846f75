"""A look at the model's endpoint before anything is submitted: is somebody there, and which models does it
have?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from assay.cli.exits import CommandError, Exit, say
from assay.client.errors import ClientError, ServerError, TimedOut, Unreachable
from assay.client.http import Http

PROBE_S = 3.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Found:
    """What the endpoint said: the models that it lists, and the status of its answer (0: none in time)."""

    models: tuple[str, ...]
    status: int


def on_this_machine(url: str) -> bool:
    """Say whether a URL names this machine."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


def probe(url: str) -> Found:
    """Ask an OpenAI-compatible endpoint for its models, without a key. Raises Unreachable, and ValueError
    for no URL.
    """
    try:
        answer = Http(url, timeout_s=PROBE_S, remedy="").request("GET", "/models")
        listed: Any = answer.json()
        data = listed.get("data") if isinstance(listed, dict) else None
        names = [str(item["id"]) for item in data or [] if isinstance(item, dict) and item.get("id")]
        return Found(tuple(names), answer.status)
    except ServerError as error:
        return Found((), error.status)
    except TimedOut:
        return Found((), 0)


def check(model: dict[str, Any], server_url: str) -> None:
    """Refuse a model that nobody serves; fill in its name where the endpoint has exactly one. Warns of the
    rest.

    A server on another machine may reach what this one cannot: then an unreachable endpoint is a warning.
    Raises CommandError.
    """
    url = str(model.get("url") or "")
    if not url:
        raise CommandError("Say where the model is: --model-url URL, such as http://127.0.0.1:8400/v1.")
    try:
        found = probe(url)
    except ValueError:
        raise CommandError(
            f"--model-url '{url}' is not the base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8400/v1."
        ) from None
    except Unreachable as error:
        text = f"The model at {url} cannot be reached from here: {error.reason}."
        if on_this_machine(server_url):
            raise CommandError(
                f"{text} Start it (`assay practice-model` is one to try with), correct --model-url, "
                "or skip this check with --no-check.",
                Exit.USAGE,
            ) from None
        say(f"warning: {text} The server may still reach it.")
        return
    except ClientError as error:
        say(f"warning: {error}")
        return
    _judge(model, url, found)


def _judge(model: dict[str, Any], url: str, found: Found) -> None:
    if found.status in (401, 403) and "auth" not in model:
        say(f"warning: {url} wants a key ({found.status}). Without --secret the evaluation will fail.")
    if found.status == 0:
        say(f"warning: {url} did not answer within {PROBE_S:g} s.")
    if model.get("name"):
        if found.models and model["name"] not in found.models:
            listed = ", ".join(found.models[:5])
            say(f"warning: {url} does not list the model '{model['name']}'; it has: {listed}.")
        return
    if len(found.models) == 1:
        model["name"] = found.models[0]
        return
    listed = f"; {url} has: {', '.join(found.models[:10])}" if found.models else ""
    raise CommandError(f"Say which model: --model-name NAME{listed}.")
