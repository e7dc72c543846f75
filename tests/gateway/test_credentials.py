"""Where a credential is looked for, and what is said when it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.gateway import Credential, CredentialError, ModelRoute, resolve

from .upstream import CANARY


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_reference_reads_the_api_key_of_the_directory(tmp_path: Path) -> None:
    write(tmp_path / "my secret/api-key", "  key-1\n")
    ca = write(tmp_path / "my secret/ca_cert", "pem")
    credential = resolve(f"file://{tmp_path}/my%20secret", None, {})
    assert credential.headers() == {"Authorization": "Bearer key-1"}
    assert credential.ca_cert == ca


def test_a_kubernetes_projection_is_followed_and_other_links_are_not(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret / "..2026/api-key", "key-2")
    (secret / "..data").symlink_to("..2026")
    (secret / "api-key").symlink_to("..data/api-key")
    assert resolve(f"file://{secret}", None, {}).value == "key-2"
    elsewhere = write(tmp_path / "elsewhere", "stolen")
    (secret / "api-key").unlink()
    (secret / "api-key").symlink_to(elsewhere)
    with pytest.raises(CredentialError, match="api-key"):
        resolve(f"file://{secret}", None, {})
    (tmp_path / "link").symlink_to(secret)
    with pytest.raises(CredentialError, match="links are not followed"):
        resolve(f"file://{tmp_path}/link", None, {})


def test_a_projection_that_leads_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside/api-key", "stolen")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "..data").symlink_to(tmp_path / "outside")
    (secret / "api-key").symlink_to("..data/api-key")
    with pytest.raises(CredentialError):
        resolve(f"file://{secret}", None, {})


def test_an_empty_key_means_none(tmp_path: Path) -> None:
    write(tmp_path / "api-key", "\n")
    credential = resolve(f"file://{tmp_path}", None, {})
    assert credential.value is None
    assert credential.headers() == {}


def test_a_name_is_looked_up_in_the_directory_then_in_the_environment(tmp_path: Path) -> None:
    environ = {"ASSAY_SECRET_OPEN_AI_PROD": "from-env\n"}
    assert resolve("open-ai.prod", tmp_path, environ).value == "from-env"
    write(tmp_path / "open-ai.prod", "from-file")
    assert resolve("open-ai.prod", tmp_path, environ).value == "from-file"
    (tmp_path / "open-ai.prod").unlink()
    write(tmp_path / "open-ai.prod/api-key", "from-directory")
    assert resolve("open-ai.prod", tmp_path, environ).value == "from-directory"


def test_a_missing_name_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CredentialError) as missing:
        resolve("prod-key", tmp_path, {"OTHER": "value"})
    for place in (
        "'prod-key'",
        f"{tmp_path}/prod-key/api-key",
        f"{tmp_path}/prod-key",
        "ASSAY_SECRET_PROD_KEY",
    ):
        assert place in str(missing.value)


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "..",
        "../x",
        "a/b",
        ".hidden",
        "a b",
        "x" * 300,
        "file://host/dir",
        "file:relative",
        "file:///no/such/dir",
    ],
)
def test_a_reference_of_another_form_is_refused(tmp_path: Path, ref: str) -> None:
    with pytest.raises(CredentialError):
        resolve(ref, tmp_path, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "api-key", "k").chmod(0)
    with pytest.raises(CredentialError, match="cannot be read"):
        resolve(f"file://{tmp_path}", None, {})


def test_a_binary_or_huge_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialError, match="is not text"):
        resolve(f"file://{tmp_path}", None, {})
    (tmp_path / "api-key").write_bytes(b"x" * 100_000)
    with pytest.raises(CredentialError, match="larger than"):
        resolve(f"file://{tmp_path}", None, {})


def test_a_key_that_would_split_a_header_is_refused_without_showing_it() -> None:
    with pytest.raises(CredentialError) as refused:
        Credential("secret-part\r\nX-Injected: 1", "ref-1")
    assert "secret-part" not in str(refused.value)
    assert "ref-1" in str(refused.value)


ALLOWED = """# the team's own
https://models.example/v1/
http://10.0.0.7:8000
"""


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://models.example/v1", True),
        ("https://models.example:443/v1/deployments/a", True),
        ("http://10.0.0.7:8000/v1", True),
        ("https://models.example/v12", False),
        ("https://models.example/v1/../v2", False),
        ("https://models.example/v1/%2e%2e/v2", False),
        ("http://models.example/v1", False),
        ("https://models.example.evil.example/v1", False),
        ("http://10.0.0.7:8001/v1", False),
    ],
)
def test_a_key_is_sent_only_where_its_directory_says(tmp_path: Path, url: str, allowed: bool) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "api-key").write_text(CANARY)
    (tmp_path / "team" / "allowed_urls").write_text(ALLOWED)
    credential = resolve("team", tmp_path, {})
    if allowed:
        assert ModelRoute(url, credential).credential is credential
        return
    with pytest.raises(CredentialError, match="'team' may not be sent to .*models.example/v1/, http") as caught:
        ModelRoute(url, credential)
    assert CANARY not in str(caught.value)


def test_an_empty_list_of_endpoints_allows_none(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text(CANARY)
    (tmp_path / "allowed_urls").write_text("")
    with pytest.raises(CredentialError, match="names no endpoint"):
        ModelRoute("https://models.example", resolve(tmp_path.as_uri(), None, {}))
