"""Networks that can be cut: a namespace for each worker where one may be made, else a relay that stops passing bytes on.

A cut is `both` (nothing passes), `up` (nothing from the far end, where the client is), or `down` (nothing to it): with the
last two one side believes in a connection that is of no use, as with a broken switch or a lost route.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
import threading
from typing import Protocol


class Link(Protocol):
    """A way between two programs."""

    def cut(self, way: str) -> None:
        """Cut it."""

    def mend(self) -> None:
        """Let everything pass again."""


class Relay:
    """A TCP relay on loopback to `target`; what it does not pass on waits, as packets that are sent again do.

    Its bytes pass in a thread of its own. Use as a context manager.
    """

    def __init__(self, target: tuple[str, int], port: int = 0) -> None:
        self._target = target
        self._open = {"up": threading.Event(), "down": threading.Event()}
        self._connections: set[tuple[socket.socket, socket.socket]] = set()
        self._listening = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self._ended = False
        self.mend()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, name=f"relay {self.port}", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self.mend()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._reset()

    def cut(self, way: str) -> None:
        """Cut it; `reset` ends the connections there are, as a firewall does that forgets them."""
        if way == "reset":
            self._reset()
        for direction in ("up", "down") if way == "both" else (way,):
            if direction in self._open:
                self._open[direction].clear()

    def mend(self) -> None:
        """Let everything pass again."""
        for passes in self._open.values():
            passes.set()

    def _reset(self) -> None:
        for pair in list(self._connections):
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ended:
            with contextlib.suppress(OSError):
                near, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._open["up"].wait()
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        pair = (near, far)
        self._connections.add(pair)
        other = threading.Thread(target=self._pass, args=(far, near, "down"), daemon=True)
        other.start()
        self._pass(near, far, "up")
        other.join()
        self._connections.discard(pair)
        for end in pair:
            end.close()

    def _pass(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._open[direction].wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Network:
    """An address of this machine that namespaces reach, each over a cable of its own. Use as a context manager."""

    def __init__(self) -> None:
        number = random.SystemRandom().randrange(1 << 16)  # others may run the same on this machine
        self._subnet = f"10.{200 + (number >> 8) % 55}.{number & 255}"
        self._tag = f"ac{os.getpid() % 100_000}"
        self.address = f"{self._subnet}.1"
        self._namespaces: list[Namespace] = []

    def __enter__(self) -> Network:
        _ip("addr", "add", f"{self.address}/32", "dev", "lo")
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._namespaces:
            one.remove()
        _ip("addr", "del", f"{self.address}/32", "dev", "lo")

    def namespace(self) -> Namespace:
        """Make another namespace, joined to this one."""
        number = len(self._namespaces) + 2
        made = Namespace(f"{self._tag}n{number}", self.address, f"{self._subnet}.{number}")
        self._namespaces.append(made)
        made.create()
        return made


class Namespace:
    """A network of its own, joined to ours by a cable: `near` is its address for them, `far` the namespace's own."""

    def __init__(self, name: str, near: str, far: str) -> None:
        self._name, self._near, self._far = name, near, far
        self._cable = f"{name}a"
        self.prefix = ("ip", "netns", "exec", name)
        """Before the command of a program that is to be in it."""

    def create(self) -> None:
        """Make it, and join it."""
        inner = f"{self._name}b"
        _ip("netns", "add", self._name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", inner, "netns", self._name)
        self._inside("link", "set", "lo", "up")
        self._inside("addr", "add", f"{self._far}/32", "dev", inner)
        self._inside("link", "set", inner, "up")
        self._inside("route", "add", self._near, "dev", inner, "src", self._far)
        self.mend()

    def remove(self) -> None:
        """Take it away, with whatever still runs in it losing its network."""
        _ip("link", "del", self._cable, check=False)
        _ip("netns", "del", self._name, check=False)

    def cut(self, way: str) -> None:
        """Cut the cable, or lose the route of one end."""
        if way == "both":
            _ip("link", "set", self._cable, "down")
        elif way == "up":
            self._inside("route", "replace", "blackhole", self._near)
        else:
            _ip("route", "replace", "blackhole", self._far)

    def mend(self) -> None:
        """Let everything pass again."""
        _ip("link", "set", self._cable, "up")
        self._inside("route", "replace", self._near, "dev", f"{self._name}b", "src", self._far)
        _ip("route", "replace", self._far, "dev", self._cable, "src", self._near)

    def _inside(self, *words: str) -> None:
        _ip("-n", self._name, *words)


def namespaces_work() -> bool:
    """Say whether this process may make networks."""
    if os.geteuid() != 0:
        return False
    name = f"acprobe{os.getpid()}"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
    if made:
        _ip("netns", "del", name)
    return made


def _ip(*words: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
