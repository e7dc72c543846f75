"""Where a server listens: the API, the metrics' own port, and beside https a plain door for the worker of this machine."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from assay import listening
from assay.config import Settings
from assay.listening import Door, Limits, Tls
from assay.model.errors import SettingInvalid
from assay.server.access.gate import Gate
from assay.server.app import App
from assay.server.routes import Table
from assay.server.services import Services
from assay.server.table import ROUTES, table


@dataclass(frozen=True)
class Listeners:
    """Bound sockets. `url` is told to users; the worker that the server starts uses `worker_url`."""

    api: socket.socket
    metrics: socket.socket | None
    loopback: socket.socket | None
    tls: Tls | None

    @property
    def url(self) -> str:
        return listening.url_of(self.api, "https" if self.tls else "http")

    @property
    def worker_url(self) -> str:
        return listening.url_of(self.loopback or self.api)

    @property
    def metrics_url(self) -> str | None:
        return listening.url_of(self.metrics) + "/metrics" if self.metrics else None


@contextlib.contextmanager
def bound(settings: Settings) -> Iterator[Listeners]:
    """Bind everything that the settings ask for. Raises CannotListen, SettingInvalid."""
    tls = tls_of(settings)
    with contextlib.ExitStack() as opened:
        api = opened.enter_context(listening.bind(settings.host, settings.port))
        metrics = None
        if settings.metrics_port is not None:
            metrics = opened.enter_context(listening.bind(settings.metrics_host, settings.metrics_port, "metrics"))
        # The certificate names the server as others reach it, so the worker beside it could not check it.
        loopback = opened.enter_context(listening.bind("127.0.0.1", 0)) if tls else None
        yield Listeners(api, metrics, loopback, tls)


def doors(listeners: Listeners, at: Services, gate: Gate) -> list[Door]:
    """Return what is served on the listeners."""
    settings = at.settings
    limits = Limits(settings.idle_timeout_seconds, settings.max_header_bytes)
    api = App(table(), at, gate)
    opened = [Door(api, listeners.api, listeners.tls, limits, websockets=True)]
    if listeners.loopback:
        opened.append(Door(api, listeners.loopback, None, limits))
    if listeners.metrics:
        scrape = App(Table([route for route in ROUTES if route.name == "metrics"]), at, gate)
        opened.append(Door(scrape, listeners.metrics, None, limits))
    return opened


def tls_of(settings: Settings) -> Tls | None:
    """Return the files of https, checked; None for plain HTTP. Raises SettingInvalid."""
    files = settings.tls_files
    if files is None:
        return None
    for name, path in zip(("tls_cert_file", "tls_key_file"), files, strict=True):
        try:
            path.read_bytes()
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror}"
            raise SettingInvalid(name=name, origin=settings.origins[name], problem=problem) from error
    try:
        # An empty password: OpenSSL would ask the terminal for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
    except (ssl.SSLError, ValueError) as error:
        problem = "it does not fit tls_cert_file, or one of the two is no PEM file, or the key has a password"
        raise SettingInvalid(name="tls_key_file", origin=settings.origins["tls_key_file"], problem=problem) from error
    return Tls(*files)
