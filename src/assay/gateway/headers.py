"""Which headers cross the gateway, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy

from assay.gateway.credentials import Credential
from assay.telemetry.redaction import Redactor

_HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
# Whatever the evaluation presents as a key is the gateway's token or a dummy; the endpoint must never see it.
_CALLER_SECRETS = frozenset(
    [
        "authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "cookie",
        "cookie2",
    ]
)
_REWRITTEN_REQUEST = frozenset(["host", "content-length", "accept-encoding", "expect", "forwarded"])
_REWRITTEN_RESPONSE = frozenset(
    # aiohttp decodes the content; the others would bind the caller to a host it never talks to.
    [
        "content-length",
        "content-encoding",
        "set-cookie",
        "set-cookie2",
        "alt-svc",
        "strict-transport-security",
    ]
)
_CALLBACK_REQUEST = ("Content-Type", "Accept", "User-Agent", "X-Request-Id", "Traceparent")


def model_request_headers(sent: CIMultiDictProxy[str], credential: Credential | None) -> CIMultiDict[str]:
    """The evaluation's end-to-end headers, without any key of its own, and with the real credential."""
    dropped = _HOP_BY_HOP | _CALLER_SECRETS | _REWRITTEN_REQUEST | _connection_names(sent.getall("Connection", ()))
    headers = CIMultiDict(
        (name, value) for name, value in sent.items() if name.lower() not in dropped and not _forwarding(name)
    )
    # Bodies are read for token counts and masked; a compressed one would have to be unpacked for that.
    headers["Accept-Encoding"] = "identity"
    if credential is not None:
        for name, value in credential.headers().items():
            headers[name] = value
    return headers


def tracking_request_headers(sent: CIMultiDictProxy[str], credential: Credential) -> CIMultiDict[str]:
    """The headers of a call to MLflow: as to a model, and the workspace is not the evaluation's to choose."""
    headers = model_request_headers(sent, credential)
    headers.popall("X-MLFLOW-WORKSPACE", None)
    return headers


def response_headers(received: Mapping[str, str], redactor: Redactor) -> CIMultiDict[str]:
    """The endpoint's end-to-end headers, known secrets masked."""
    items = received.items()
    dropped = _HOP_BY_HOP | _REWRITTEN_RESPONSE
    dropped |= _connection_names(value for name, value in items if name.lower() == "connection")
    return CIMultiDict((name, redactor.text(value)) for name, value in items if name.lower() not in dropped)


def callback_request_headers(sent: Mapping[str, str], own: Mapping[str, str]) -> CIMultiDict[str]:
    """A few harmless headers of the adapter, and the worker's own over them."""
    headers = CIMultiDict((name, sent[name]) for name in _CALLBACK_REQUEST if name in sent)
    headers["Accept-Encoding"] = "identity"
    for name, value in own.items():
        headers[name] = value
    return headers


def _connection_names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for value in values for name in value.split(","))


def _forwarding(name: str) -> bool:
    return name.lower().startswith("x-forwarded-")
