"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from assay.server.access.addresses import address_of, household, origin_of

TRUSTED = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:1234, [fd00::2]:99", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_what_a_proxy_says_counts_for_as_long_as_trusted_ones_speak(peer: str, forwarded: str, origin: str) -> None:
    assert origin_of(peer, forwarded, TRUSTED) == ip_address(origin)


def test_nobody_is_trusted_unless_that_is_said() -> None:
    assert origin_of("10.0.0.1", "6.6.6.6", ()) == ip_address("10.0.0.1")


def test_only_the_end_of_an_endless_list_of_proxies_is_read_and_none_of_it_kept() -> None:
    endless = ", ".join(["6.6.6.6"] * 50_000)
    assert origin_of("10.0.0.1", f"{endless}, 198.51.100.1, 10.0.0.2", TRUSTED) == ip_address("198.51.100.1")
    assert origin_of("10.0.0.1", endless, ()) == ip_address("10.0.0.1")
    assert address_of("1" * 100_000) is None


@pytest.mark.parametrize("text", ["", "unix", "1.2.3", "1.2.3.4.5", "[::1", "x:y:z"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert address_of(text) in (None, ip_address("::1"))


def test_of_ipv6_a_whole_network_counts_as_one() -> None:
    assert household(address_of("2001:db8::1")) == household(address_of("2001:db8::ffff:1")) == "2001:db8::/64"
    assert household(address_of("1.2.3.4")) == "1.2.3.4"
    assert household(None) == "unknown"
