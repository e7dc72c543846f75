"""Webhooks lead outwards only, in whatever form an inner address is written, and whatever a name leads to later."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

from assay.notify.outward import AddressRefused, NotResolved, OutwardResolver
from assay.notify.posting import Poster, Undelivered
from tests.notify.receiver import Receiver

INNER = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:a00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]
OUTER = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2002:808:808::"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def strict() -> OutwardResolver:
    return OutwardResolver(())


class Names:
    """A name server: a name leads to each of its answers in turn, and to the last from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        turns = self.answers.get(host)
        if turns is None:
            return self._real(host, port, *rest, **more)
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [found for address in addresses for found in self._real(address, port, *rest, **more)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_is_refused(strict: OutwardResolver, address: str) -> None:
    with pytest.raises(AddressRefused, match="is an inner one"):
        strict.check(address)


@pytest.mark.parametrize("address", OUTER)
def test_an_outer_address_is_not(strict: OutwardResolver, address: str) -> None:
    strict.check(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "localhost", "LOCALHOST"])
async def test_other_spellings_of_an_inner_address_are_refused(strict: OutwardResolver, host: str) -> None:
    with pytest.raises(AddressRefused):
        await strict.check_url(f"http://{host}/hook")


async def test_a_name_is_refused_if_any_of_its_addresses_is_an_inner_one(strict: OutwardResolver, names: Names) -> None:
    names.answers["mixed.example"] = [["93.184.216.34", "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        await strict.check_url("https://mixed.example/")


async def test_a_name_that_leads_nowhere_is_told_apart(strict: OutwardResolver) -> None:
    with pytest.raises(NotResolved):
        await strict.check_url("https://nowhere.invalid/")


def test_networks_that_are_allowed_are_reached_in_every_form() -> None:
    allowed = OutwardResolver([ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/64")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        allowed.check(address)
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::1"):
        with pytest.raises(AddressRefused):
            allowed.check(address)


async def test_a_name_that_leads_elsewhere_at_the_connection_is_refused(
    strict: OutwardResolver, names: Names, receive: Callable[..., Receiver]
) -> None:
    hook = receive()
    url = hook.url.replace("127.0.0.1", "rebound.example")
    names.answers["rebound.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    await strict.check_url(url)
    poster = Poster(3, strict)
    with pytest.raises(Undelivered, match=r"127\.0\.0\.1 is an inner one"):
        await poster.post(url, {}, b"{}")
    assert hook.received == []
    await poster.close()


async def test_a_connection_goes_to_the_address_that_was_checked(names: Names, receive: Callable[..., Receiver]) -> None:
    hook = receive()
    names.answers["hook.example"] = [["127.0.0.1"], ["10.255.255.1"]]  # asked a second time, it leads elsewhere
    poster = Poster(3, OutwardResolver([ipaddress.ip_network("127.0.0.1")]))
    assert await poster.post(hook.url.replace("127.0.0.1", "hook.example"), {}, b"{}") == 204
    assert hook.received[0].headers["host"].startswith("hook.example:")
    await poster.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "localhost"])
async def test_nothing_is_sent_to_this_machine(strict: OutwardResolver, receive: Callable[..., Receiver], host: str) -> None:
    hook = receive()
    poster = Poster(3, strict)
    with pytest.raises(Undelivered, match="is an inner one|InvalidUrl"):
        await poster.post(hook.url.replace("127.0.0.1", host), {}, b"{}")
    assert hook.received == []
    await poster.close()
