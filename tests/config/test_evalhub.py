"""A configuration directory of EvalHub's works as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.config import SETTINGS
from assay.config.evalhub_keys import KEYS

from .files import evalhub, loaded, problem


def nested(key: str, value: Any) -> dict[str, Any]:
    section, _, name = key.partition(".")
    return {section: {name: value}}


@pytest.mark.parametrize(
    ("key", "written", "setting", "value"),
    [
        ("service.port", 9000, "port", 9000),
        ("service.host", "::1", "host", "::1"),
        ("service.host", "", "host", "0.0.0.0"),
        ("service.termination_file", "/tmp/log", "termination_file", Path("/tmp/log")),
        ("service.tls_cert_file", "/c.pem", "tls_cert_file", Path("/c.pem")),
        ("service.tls_key_file", "/k.pem", "tls_key_file", Path("/k.pem")),
        ("service.read_timeout", "1m30s", "read_timeout_seconds", 90.0),
        ("service.read_timeout", 0, "read_timeout_seconds", 60.0),
        ("service.idle_timeout", "500ms", "idle_timeout_seconds", 0.5),
        ("service.max_header_bytes", 20000, "max_header_bytes", 20000),
        ("service.max_header_bytes", 100, "max_header_bytes", 8192),
        ("service.max_header_bytes", 0, "max_header_bytes", 1 << 20),
        ("service.max_request_body_bytes", 5, "max_body_bytes", 5),
        ("service.max_request_body_bytes", -1, "max_body_bytes", -1),
        ("service.max_request_body_bytes", 0, "max_body_bytes", 10 << 20),
        ("service.max_log_response_bytes", 52428800, "max_log_response_bytes", 52428800),
        ("service.log_stream_timeout", "5m", "log_stream_timeout_seconds", 300.0),
        ("database.url", "file:eval.db", "database", "file:eval.db"),
        ("database.url", "file:eval.db?cache=shared", "database", "file:eval.db"),
        ("database.url", "file:///srv/eval.db", "database", "file:/srv/eval.db"),
        ("database.url", "eval.db", "database", "file:eval.db"),
        ("database.url", "file::eval_hub:?mode=memory&cache=shared", "database", "memory"),
        ("database.url", ":memory:", "database", "memory"),
        ("database.url", "file::memory:?cache=shared", "database", "memory"),
        ("database.url", "postgres://u:p@db:5432/e", "database", "postgres://u:p@db:5432/e"),
        ("mlflow.tracking_uri", "http://flow:5000", "mlflow_tracking_uri", "http://flow:5000"),
        ("mlflow.tracking_uri", None, "mlflow_tracking_uri", ""),
        ("mlflow.http_timeout", "30s", "mlflow_http_timeout_seconds", 30.0),
        ("mlflow.ca_cert_path", "/ca.pem", "mlflow_ca_cert_file", Path("/ca.pem")),
        ("mlflow.token", "t", "mlflow_token", "t"),
        ("mlflow.token_path", "/token", "mlflow_token_file", Path("/token")),
        ("mlflow.workspace", "w", "mlflow_workspace", "w"),
    ],
)
def test_a_key_becomes_the_setting_of_its_meaning(tmp_path: Path, key: str, written: Any, setting: str, value: Any) -> None:
    file = evalhub(tmp_path, **nested(key, written))
    settings = loaded(file)
    assert settings.values[setting] == value
    if settings.origins[setting] != "default":
        assert settings.origins[setting] == f"file {file}: {key}"
    assert settings.notes == ()


def test_every_key_becomes_a_setting_that_there_is_or_says_why_not(tmp_path: Path) -> None:
    names = {setting.name for setting in SETTINGS}
    decided_together = {"database.driver", "prometheus.enabled"}
    for key in KEYS:
        assert key.setting in names or key.without_effect or key.name in decided_together, key.name


def test_the_smallest_useful_file_serves_metrics_on_their_own_port(tmp_path: Path) -> None:
    settings = loaded(
        evalhub(
            tmp_path,
            service={"port": 8080, "host": "127.0.0.1"},
            database={"driver": "sqlite", "url": "file:eval.db"},
            prometheus={"enabled": True, "port": 8081, "host": "127.0.0.1"},
        )
    )
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 8081)


def test_the_file_that_the_cli_of_evalhub_writes_is_taken(tmp_path: Path) -> None:
    settings = loaded(
        evalhub(
            tmp_path,
            service={"port": 8080},
            database={"driver": "sqlite", "url": "file::eval_hub:?mode=memory&cache=shared"},
            sidecar={"base_url": "http://localhost:8082", "local_mode": True},
        )
    )
    assert (settings.host, settings.database) == ("127.0.0.1", "memory")
    (note,) = settings.notes
    assert note == f"sidecar (file {tmp_path}/config.yaml) has no effect: Assay's gateway does a sidecar's work without one."


def test_an_empty_file_leaves_every_default(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("")
    assert set(loaded(file).origins.values()) == {"default"}


def test_prometheus_has_its_own_defaults_once_enabled_and_no_port_otherwise(tmp_path: Path) -> None:
    enabled = loaded(evalhub(tmp_path, prometheus={"enabled": True}))
    assert (enabled.metrics_host, enabled.metrics_port) == ("0.0.0.0", 8081)
    assert loaded(evalhub(tmp_path, prometheus={"enabled": False, "port": 9})).metrics_port is None
    assert loaded(evalhub(tmp_path, prometheus={"port": 9})).metrics_port is None


def test_only_variables_that_the_file_lists_replace_keys(tmp_path: Path) -> None:
    file = evalhub(tmp_path, service={"port": 1}, env_mappings={"PORT": "service.port", "DB_URL": "database.url"})
    settings = loaded(file, {"PORT": "2", "API_HOST": "::1"})
    assert (settings.port, settings.origins["port"]) == (2, "environment PORT")
    assert (settings.host, settings.database) == ("127.0.0.1", "")


def test_a_variable_of_assay_counts_more_than_anything_in_the_directory(tmp_path: Path) -> None:
    file = evalhub(tmp_path, service={"port": 1}, env_mappings={"PORT": "service.port"})
    assert loaded(file, {"PORT": "2", "ASSAY_PORT": "3"}).port == 3


def test_the_second_file_replaces_whole_top_level_keys(tmp_path: Path) -> None:
    file = evalhub(tmp_path, service={"port": 1, "host": "::1"}, mlflow={"workspace": "kept"})
    over = tmp_path / "over.yaml"
    over.write_text("service: {port: 2}")
    settings = loaded(file, {"CONFIG_PATH": str(over)})
    assert (settings.port, settings.origins["port"]) == (2, f"file {over}: service.port")
    assert (settings.host, settings.mlflow_workspace) == ("127.0.0.1", "kept")


def test_a_second_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    said = problem(evalhub(tmp_path), {"CONFIG_PATH": str(tmp_path / "nowhere.yaml")})
    assert said == f"config (file {tmp_path}/nowhere.yaml): No such file or directory"


def test_secret_files_replace_keys_and_lose_the_line_break_at_their_end(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "db-url").write_text("postgres://u:hunter2@db/e\n")
    file = evalhub(
        tmp_path / "etc",
        database={"driver": "pgx", "url": "file:eval.db"},
        secrets={"dir": str(secrets), "mappings": {"db-url": "database.url", "token:optional": "mlflow.token"}},
    )
    settings = loaded(file)
    assert (settings.database, settings.mlflow_token) == ("postgres://u:hunter2@db/e", "")
    assert settings.origins["database"] == f"secret {secrets / 'db-url'}"


def test_a_missing_secret_is_an_error_but_not_where_their_folder_is_missing(tmp_path: Path) -> None:
    mappings = {"db-url": "database.url"}
    assert "the file is not there" in problem(evalhub(tmp_path, secrets={"dir": str(tmp_path), "mappings": mappings}))
    assert loaded(evalhub(tmp_path, secrets={"dir": str(tmp_path / "no"), "mappings": mappings})).database == ""
    assert loaded(evalhub(tmp_path, secrets={"dir": str(tmp_path), "mappings": None})).database == ""


def test_the_folder_is_a_catalogue_where_it_has_providers_or_collections(tmp_path: Path) -> None:
    file = evalhub(tmp_path)
    assert loaded(file).catalog == ()
    (tmp_path / "collections").mkdir()
    settings = loaded(file)
    assert (settings.catalog, settings.origins["catalog"]) == ((tmp_path,), f"beside {file}")
    assert loaded(file, catalog=("/other",)).catalog == (Path("/other"),)


def test_a_few_variables_count_without_being_listed(tmp_path: Path) -> None:
    settings = loaded(evalhub(tmp_path), {"LOG_LEVEL": "warn", "TERMINATION_FILE": "/tmp/t"})
    assert (settings.log_level, settings.termination_file) == ("WARNING", Path("/tmp/t"))


def test_an_unknown_key_is_a_note_that_names_the_nearest(tmp_path: Path) -> None:
    file = evalhub(
        tmp_path,
        service={"prot": 1, "disable_auth": False},
        servise={"port": 1},
        zebra={"stripes": 3},
        otel={"enabled": False, "sampling_ratio": 1},
    )
    assert loaded(file).notes == (
        f"service.prot (file {file}) is not known and has no effect; did you mean service.port?",
        f"service.disable_auth (file {file}) is not known and has no effect.",
        f"servise.port (file {file}) is not known and has no effect; did you mean service.port?",
        f"zebra.stripes (file {file}) is not known and has no effect.",
    )


def test_what_has_no_effect_here_says_why(tmp_path: Path) -> None:
    file = evalhub(tmp_path, database={"max_open_conns": 5}, otel={"enabled": True}, service={"write_timeout": "15s"})
    text = "\n".join(loaded(file).notes)
    for key in ("database.max_open_conns", "otel", "service.write_timeout"):
        assert f"{key} (file {file}) has no effect: " in text


@pytest.mark.parametrize(
    ("key", "written", "said"),
    [
        ("service.port", "many", "'many' is no whole number"),
        ("service.port", [1], "a single value is needed"),
        ("service.read_timeout", 15, "'15' is no length of time; write it with its unit, such as 15s, 5m or 1h30m"),
        ("service.idle_timeout", "-5s", "a length of time cannot be negative"),
        ("service.max_header_bytes", -1, "a size cannot be negative"),
        ("service.max_request_body_bytes", -2, "at least 1 is needed, or -1 for no limit"),
        ("database.driver", "mysql", "'mysql' is not known; write sqlite or pgx"),
        ("database.driver", "pgx", "pgx needs a database.url that begins with postgres://"),
        ("database.url", "mysql://db", "mysql:// is no database that Assay knows; write postgres://… or file:PATH"),
        ("database.url", "file:", "the path of the database file is missing; write file:PATH"),
        ("prometheus.enabled", "maybe", "yes or no is needed"),
        ("mlflow.tracking_uri", "flow:5000", "a URL that begins with http:// or https:// is needed"),
    ],
)
def test_a_bad_value_names_the_key_the_file_and_the_remedy(tmp_path: Path, key: str, written: Any, said: str) -> None:
    file = evalhub(tmp_path, **nested(key, written))
    message = problem(file)
    assert f"(file {file}: {key}): {said}" in message


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "service: 5",
        "service: [",
        "secrets: 5",
        "env_mappings: [PORT]",
        "env_mappings: {PORT: 5}",
        "a: &a [*a]",
        "\x00",
    ],
)
def test_a_document_of_another_shape_is_refused_or_noted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    if text == "a: &a [*a]":
        assert loaded(file).notes
    else:
        assert str(file) in problem(file)


def test_the_driver_must_fit_the_url(tmp_path: Path) -> None:
    file = evalhub(tmp_path, database={"driver": "sqlite", "url": "postgres://db/e"})
    assert problem(file).startswith(f"database.driver (file {file}: database.driver): database.url is one of PostgreSQL")
