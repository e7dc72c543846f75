"""One open run inside the gateway: its route, its limits in force, its counters."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field

from assay.gateway.endpoint import Clock, Endpoint
from assay.gateway.routes import RunRoute
from assay.gateway.transport import tls_setting
from assay.gateway.usage import UsageMeter
from assay.telemetry.redaction import Redactor


@dataclass
class RunState:
    """What the handlers know about a run; `requests` are its calls in progress, for `end`."""

    route: RunRoute
    base_url: str
    gate: Endpoint | None
    endpoint: Endpoint | None
    tls: ssl.SSLContext | bool
    redactor: Redactor
    usage: UsageMeter = field(default_factory=UsageMeter)
    requests: set[asyncio.Task[object]] = field(default_factory=set)
    calls: int = 0
    """Whatever came from the run, of either kind."""

    @classmethod
    def of(cls, route: RunRoute, base_url: str, endpoint: Endpoint | None, clock: Clock) -> RunState:
        """Raises RouteError when the CA certificate of the model cannot be loaded."""
        bound = route.limits.max_concurrency
        model = route.model
        return cls(
            route=route,
            base_url=base_url,
            gate=Endpoint(bound, clock) if bound is not None else None,
            endpoint=endpoint,
            tls=tls_setting(model.verify_tls, model.trusted_certificates) if model else True,
            redactor=Redactor([*_secrets(route), base_url.rpartition("/")[2]], patterns=False),
        )

    def truly(self, text: bytes) -> bytes:
        """Return JSON of the run with what the gateway's URLs stand for in their place, and without its secrets.

        Of a URL that stands for nothing the path is left.
        """
        if self.base_url.encode() in text:
            for ours, real in self._targets():
                text = text.replace(ours.encode(), json.dumps(real)[1:-1].encode())
        return self.redactor.bytes(text)

    def _targets(self) -> list[tuple[str, str]]:
        """Return each beginning of the gateway's URLs, and that of what it stands for; longer ones first."""
        route, targets = self.route, [(self.base_url, "")]
        if route.model is not None:
            targets.insert(0, (f"{self.base_url}/model", route.model.base))
        if route.mlflow is not None:
            targets.insert(0, (f"{self.base_url}/mlflow", route.mlflow.server.url))
        if route.callback is not None:
            targets.insert(0, (f"{self.base_url}/api/", f"{route.callback.url.rstrip('/')}/api/"))
        return targets

    def end(self) -> None:
        """Give up the calls in progress."""
        for task in self.requests:
            task.cancel()


def _secrets(route: RunRoute) -> list[str]:
    secrets: list[str] = []
    if route.model is not None and route.model.credential is not None:
        secrets.append(route.model.credential.value or "")
    if route.callback is not None:
        # Of `Bearer <key>` only the key is secret.
        secrets += [value.split(" ")[-1] for name, value in route.callback.headers.items() if _is_secret(name)]
    return secrets


def _is_secret(header: str) -> bool:
    return any(word in header.lower() for word in ("authorization", "key", "token", "secret"))
