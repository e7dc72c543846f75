"""What can go wrong in the gateway: when a run is opened (exceptions) and while it runs (JSON answers)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web


class GatewayError(Exception):
    """A route that the gateway cannot serve; the text says why and what to do."""

    code = "gateway_error"


class CredentialError(GatewayError):
    """A secret that cannot be read. Names the reference and the places looked at, never a value."""

    code = "credential_unavailable"


class RouteError(GatewayError):
    """A URL, header or limit of a route that cannot be used."""

    code = "invalid_route"


def model_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error in the form that OpenAI clients read."""
    kind = "invalid_request_error" if status < 500 else "api_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return _json(status, body, headers)


def callback_error(status: int, code: str, message: str) -> web.Response:
    """An error in the form of the EvalHub API."""
    return _json(status, {"message_code": code, "message": message}, None)


def _json(status: int, body: object, headers: Mapping[str, str] | None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
