"""EvalHub's configuration keys, and the setting of Assay that each one becomes.

The keys are those of EvalHub server 1.0.2. A key without a setting has no effect, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from assay.config import values as read


@dataclass(frozen=True)
class Key:
    """A key as the file has it, the setting it becomes, how its value is turned, and why it has no effect if it has none.

    `turn` returns None where Assay's default is to stay, and raises ValueError with what is wanted instead.
    """

    name: str
    setting: str = ""
    turn: Callable[[Any], Any] = str
    without_effect: str = ""


def _timeout(value: Any) -> float | None:
    return read.duration(str(value)) or None


def _head(value: Any) -> int | None:
    size = read.whole(str(value))
    if size < 0:
        raise ValueError("a size cannot be negative")
    return max(size, 8192) if size else None


def _limit(value: Any) -> int | None:
    return read.limit(str(value)) if read.whole(str(value)) else None


def _level(value: Any) -> str:
    return {"warn": "warning"}.get(str(value).lower(), str(value))


def _host(value: Any) -> str:
    return str(value) or "0.0.0.0"  # noqa: S104 - what an empty host means to EvalHub


def database(value: Any) -> str | None:
    """Turn EvalHub's `database.url`: SQLite's `file:` URLs and plain paths, or PostgreSQL's."""
    url = str(value).strip()
    if not url or url.startswith(("postgres://", "postgresql://")):
        return url or None
    if "://" in url and not url.startswith("file:///"):
        scheme = url.partition("://")[0]
        raise ValueError(f"{scheme}:// is no database that Assay knows; write postgres://… or file:PATH")
    path, _, query = url.removeprefix("file:").partition("?")
    if path.startswith(":memory:") or dict(parse_qsl(query)).get("mode") == "memory":
        return read.MEMORY
    path = "/" + path.lstrip("/") if path.startswith("//") else path
    if not path:
        raise ValueError("the path of the database file is missing; write file:PATH")
    return f"file:{path}"


_ANSWERS = "Assay's HTTP server does not bound the time of an answer; log answers have service.log_stream_timeout"
_POOL = "Assay sizes its pool of connections itself"
_PODS = "it is for pods, and this server runs evaluations as processes"

KEYS = (
    Key("service.port", "port"),
    Key("service.host", "host", _host),
    Key("service.termination_file", "termination_file"),
    Key("service.eval_init_image", without_effect=_PODS),
    Key("service.tls_cert_file", "tls_cert_file"),
    Key("service.tls_key_file", "tls_key_file"),
    Key("service.read_timeout", "read_timeout_seconds", _timeout),
    Key("service.write_timeout", without_effect=_ANSWERS),
    Key("service.read_header_timeout", without_effect="service.idle_timeout bounds that time too"),
    Key("service.idle_timeout", "idle_timeout_seconds", _timeout),
    Key("service.max_header_bytes", "max_header_bytes", _head),
    Key("service.max_request_body_bytes", "max_body_bytes", _limit),
    Key("service.max_log_response_bytes", "max_log_response_bytes", _limit),
    Key("service.log_stream_timeout", "log_stream_timeout_seconds", _timeout),
    Key("database.driver"),
    Key("database.url", "database", database),
    Key("database.conn_max_lifetime", without_effect=_POOL),
    Key("database.max_idle_conns", without_effect=_POOL),
    Key("database.max_open_conns", without_effect=_POOL),
    Key("mlflow.tracking_uri", "mlflow_tracking_uri"),
    Key("mlflow.http_timeout", "mlflow_http_timeout_seconds", _timeout),
    Key("mlflow.ca_cert_path", "mlflow_ca_cert_file"),
    Key("mlflow.token", "mlflow_token"),
    Key("mlflow.token_path", "mlflow_token_file"),
    Key("mlflow.workspace", "mlflow_workspace"),
    Key("prometheus.enabled"),
    Key("prometheus.port", "metrics_port"),
    Key("prometheus.host", "metrics_host", _host),
)

WHOLE_SECTIONS = {
    "sidecar": "Assay's gateway does a sidecar's work without one",
    "otel": "this server sends no OpenTelemetry data; /metrics has its metrics",
}
"""Sections that have no effect, whatever they hold."""

DIRECT_VARIABLES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "LOG_LEVEL": ("log_level", _level),
    "TERMINATION_FILE": ("termination_file", str),
}
"""Environment variables that count beside a file of EvalHub's though it does not list them, as EvalHub has it."""
