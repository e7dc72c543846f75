"""`assay config`: what is shown, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.config import SETTINGS
from assay.config.masking import without_password
from tests.config.files import evalhub, own

from .conftest import Cli


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [setting.environment for setting in SETTINGS] + ["ASSAY_CONFIG", "EVAL_HUB_CONFIG_DIR", "CONFIG_PATH"]:
        monkeypatch.delenv(name, raising=False)


def test_each_setting_is_shown_with_its_origin(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evalhub(tmp_path, service={"port": 9000})
    monkeypatch.setenv("ASSAY_SLOTS", "3")
    rows = cli("config", "show", "--json", "--config", str(tmp_path)).json
    assert list(rows) == [setting.name for setting in SETTINGS]
    assert rows["port"] == {"value": "9000", "origin": f"file {file}: service.port"}
    assert rows["slots"] == {"value": "3", "origin": "environment ASSAY_SLOTS"}
    assert rows["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_the_folder_of_evalhub_is_found_through_its_variable(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evalhub(tmp_path, service={"port": 9000})
    monkeypatch.setenv("EVAL_HUB_CONFIG_DIR", str(tmp_path))
    assert any(line.split()[:2] == ["port", "9000"] for line in cli("config", "show").out.splitlines())


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_secrets_are_masked_and_a_url_keeps_its_user(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    (tmp_path / "url").write_text("postgres://me:hunter2@db/e?sslpassword=hunter2")
    (tmp_path / "workspace").write_text("hunter2")
    file = own(tmp_path, '[secret_files]\ndatabase = "url"\nmlflow_workspace = "workspace"')
    monkeypatch.setenv("ASSAY_MLFLOW_TOKEN", "hunter2")
    shown = cli("config", "show", "--config", str(file), *form)
    assert shown.code == 0
    assert "hunter2" not in shown.out + shown.err
    assert "postgres://me:[masked]@db/e?sslpassword=[masked]" in shown.out
    assert shown.out.count("[masked]") == 4
    assert f"secret {tmp_path}/workspace" in shown.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:p@h/db", "postgres://u:[masked]@h/db"),
        ("postgres://u:p/w@h/db", "postgres://u:[masked]@h/db"),
        ("postgres://u:p@w@h:5432/db?password=x&a=1", "postgres://u:[masked]@h:5432/db?password=[masked]&a=1"),
        ("postgres://:p@h", "postgres://:[masked]@h"),
        ("postgres://u@h/db", "postgres://u@h/db"),
        ("http://h:5000/path", "http://h:5000/path"),
    ],
)
def test_only_the_password_of_a_url_is_masked(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_validate_says_what_a_file_gives_and_warns_of_what_has_no_effect(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evalhub(tmp_path, service={"port": 9000, "prot": 1})
    monkeypatch.setenv("ASSAY_PORT", "nonsense")
    checked = cli("config", "validate", str(tmp_path))
    assert (checked.code, checked.out) == (0, "All is well: 1 settings (port).\n")
    assert "did you mean service.port?" in checked.err
    told = cli("config", "validate", str(tmp_path), "--json").json
    assert told["settings"] == ["port"]
    assert len(told["warnings"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: {port: x}", "'x' is no whole number"),
        ("service: {tls_cert_file: c.pem}", "tls_key_file is needed with it"),
        ("secrets: {dir: /, mappings: {no/such: mlflow.token}}", "the file is not there"),
    ],
)
def test_validate_refuses_what_a_server_would_refuse(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    checked = cli("config", "validate", str(tmp_path))
    assert (checked.code, checked.out) == (2, "")
    assert said in checked.err


def test_validate_reads_the_catalogue_beside_the_file_too(cli: Cli, tmp_path: Path) -> None:
    evalhub(tmp_path)
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "p.yaml").write_text("name: without an id")
    checked = cli("config", "validate", str(tmp_path))
    assert checked.code == 2
    assert "p.yaml is not valid: it must have a non-empty `id`" in checked.err


def test_mlflows_own_variables_count_where_ours_are_not_set(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs.example")
    shown = cli("config", "show", "--json").json["mlflow_tracking_uri"]
    assert shown == {"value": "http://theirs.example", "origin": "environment MLFLOW_TRACKING_URI"}
    monkeypatch.setenv("ASSAY_MLFLOW_TRACKING_URI", "https://ours.example/mlflow/")
    shown = cli("config", "show", "--json").json["mlflow_tracking_uri"]
    assert shown == {"value": "https://ours.example/mlflow", "origin": "environment ASSAY_MLFLOW_TRACKING_URI"}


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("sqlite:///mlflow.db", "a URL that begins with http:// or https:// is needed"),
        ("http://user:pw@mlflow.example", "it holds a user name or password"),
        ("http://mlflow.example/?a=b", "a URL without a query is needed"),
    ],
)
def test_an_address_that_is_no_mlflow_server_is_refused(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, uri: str, problem: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    shown = cli("config", "show")
    assert shown.code != 0
    assert "mlflow_tracking_uri (environment MLFLOW_TRACKING_URI)" in shown.err
    assert problem in shown.err
