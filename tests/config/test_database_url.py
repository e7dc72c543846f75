"""The URLs of a database and of a Redis: what is one, and how it is shown without its passwords."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.config import load
from assay.config.masking import passwords, without_password
from assay.model.errors import SettingInvalid


@pytest.mark.parametrize(
    ("url", "shown", "secrets"),
    [
        ("postgresql://u:pw@h:5432/d", "postgresql://u:[masked]@h:5432/d", {"pw"}),
        ("postgresql://u:p%23w@h/d", "postgresql://u:[masked]@h/d", {"p%23w", "p#w"}),
        ("postgresql://u@h/d?password=pw&sslmode=require", "postgresql://u@h/d?password=[masked]&sslmode=require", {"pw"}),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql", set()),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d", set()),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str, secrets: set[str]) -> None:
    assert load({"database": url}, {}).database == url
    assert (without_password(url), passwords(url)) == (shown, secrets)


@pytest.mark.parametrize(
    ("url", "shown", "secrets"),
    [
        ("redis://:pw@h:6379/0", "redis://:[masked]@h:6379/0", {"pw"}),
        ("rediss://u:p%23w@h", "rediss://u:[masked]@h", {"p%23w", "p#w"}),
        ("unix:///run/redis.sock?password=pw&db=1", "unix:///run/redis.sock?password=[masked]&db=1", {"pw"}),
    ],
)
def test_a_url_of_redis_is_shown_without_its_passwords(url: str, shown: str, secrets: set[str]) -> None:
    assert load({"redis": url}, {}).redis == url
    assert (without_password(url), passwords(url)) == (shown, secrets)


@pytest.mark.parametrize("url", ["http://h", "redis", "redis://:p/w@h", "redis://:p@w@h/x@y", "redis://h:0"])
def test_what_is_no_url_of_redis_is_refused(url: str) -> None:
    with pytest.raises(SettingInvalid, match=r"redis \(flag --redis\): (a URL that begins|it is no URL)"):
        load({"redis": url}, {})


@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).map(lambda p: f"q{p}Z"))
def test_a_password_that_is_not_encoded_is_never_shown(password: str) -> None:
    url = f"postgresql://u:{password}@h/d"
    try:
        shown = without_password(load({"database": url}, {}).database)
    except SettingInvalid as refusal:
        shown = refusal.message
    assert password not in shown


def test_passwords_are_taken_off_the_command_line_and_nothing_else_is() -> None:
    url = "postgresql://assay:assay@h/assay?password=two"
    program = (
        "import sys; from assay.cli.hiding import hide_passwords; hide_passwords(sys.argv[2].partition('=')[2]);"
        "print(open('/proc/self/cmdline').read().replace('\\0', ' '))"
    )
    command = [sys.executable, "-c", program, "assay", f"--database={url}", "two"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip().endswith("assay --database=postgresql://assay:xxxxx@h/assay?password=xxx two")
