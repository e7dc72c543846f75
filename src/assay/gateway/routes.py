"""What a run may reach through the gateway, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from assay.gateway.credentials import Credential
from assay.gateway.errors import CredentialError, RouteError
from assay.gateway.mlflow_server import MlflowServer
from assay.gateway.retry import RetryPolicy

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ModelRoute:
    """The model's endpoint as the user gave it, e.g. `https://models.example/v1`.

    `timeout_s` bounds the wait for the next bytes of an answer, not the whole answer. `ca_cert` (else the
    credential's) replaces the system's trusted certificates. Raises CredentialError for one that is for other
    endpoints.
    """

    url: str
    credential: Credential | None = None
    verify_tls: bool = True
    ca_cert: Path | None = None
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        _split(self.url, "model URL")
        allowed = self.credential.allowed_urls if self.credential else None
        if self.credential and allowed is not None and not any(_covers(one, self.url) for one in allowed):
            raise CredentialError(
                f"The secret {self.credential.source!r} may not be sent to {self.origin}{self.path}: its file "
                f"allowed_urls on the worker's machine names {', '.join(allowed) or 'no endpoint'}."
            )
        if self.timeout_s <= 0:
            raise RouteError(f"The model time-out must be positive, not {self.timeout_s}.")

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always spelled out: the identity of the endpoint."""
        return _origin(_split(self.url, "model URL"))

    @property
    def base(self) -> str:
        """Scheme, host and port as they were given."""
        parts = _split(self.url, "model URL")
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        """The path of the URL without a trailing slash; may be empty."""
        return _split(self.url, "model URL").path.rstrip("/")

    @property
    def query(self) -> str:
        """The query of the URL (Azure's api-version, for one); the gateway adds it to each request."""
        return _split(self.url, "model URL").query

    @property
    def trusted_certificates(self) -> Path | None:
        """The CA file to verify the endpoint with; None is the system's."""
        return self.ca_cert or (self.credential.ca_cert if self.credential else None)


class News(Protocol):
    """Something that the server is to be told, and that may go with a report as a header."""

    def header(self) -> tuple[str, str] | None:
        """Return the header's name and value; None when there is nothing to tell, or not any more."""
        ...

    def told(self) -> None:
        """Take note that the server has taken a report with the header."""
        ...


@dataclass(frozen=True)
class CallbackRoute:
    """Where an adapter's reports go: the server's base URL, and the headers that prove who the worker is.

    `headers` replace whatever the evaluation sends. With `job_id`, reports about any other job are refused. `news` goes with
    the first report that the server takes.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    job_id: str | None = None
    news: News | None = None

    def __post_init__(self) -> None:
        _split(self.url, "callback URL")


@dataclass(frozen=True)
class MlflowRoute:
    """The MLflow server for a run's own records, and the workspace (empty: none) that its calls are made in."""

    server: MlflowServer
    workspace: str = ""


@dataclass(frozen=True)
class RequestLimits:
    """Bounds of one run: requests at a time (None: the endpoint's bound alone), body bytes, retries."""

    max_concurrency: int | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise RouteError(f"A run needs at least one request at a time, not {self.max_concurrency}.")


@dataclass(frozen=True)
class RunRoute:
    """Everything one attempt of a run may reach. Without `model`, `callback` or `mlflow` that path answers 404."""

    run_id: str
    attempt: int
    model: ModelRoute | None = None
    callback: CallbackRoute | None = None
    mlflow: MlflowRoute | None = None
    limits: RequestLimits = field(default_factory=RequestLimits)


def origin_of(url: str) -> str:
    """The origin (`scheme://host:port`) of a URL. Raises RouteError for one that cannot be requested."""
    return _origin(_split(url, "URL"))


def _covers(allowed: str, url: str) -> bool:
    """Say whether a URL is one that is allowed, or below it."""
    within, asked = _split(allowed, "URL in allowed_urls"), _split(url, "model URL")
    path, below = unquote(asked.path), within.path.rstrip("/")
    climbs = ".." in path.split("/")
    return _origin(within) == _origin(asked) and not climbs and (path == below or path.startswith(f"{below}/"))


def _origin(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


@lru_cache(maxsize=128)
def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RouteError(f"The {what} is not a URL. Expected http(s)://host[:port]/path.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0 or re.search(r"[\s\0]", url):
        raise RouteError(f"The {what} is not usable: expected http(s)://host[:port]/path.")
    if "@" in parts.netloc:  # not shown: it holds a password
        raise RouteError(
            f"The {what} holds a user name or password. Give the bare URL, and name a secret (secret_ref) instead."
        )
    return parts
