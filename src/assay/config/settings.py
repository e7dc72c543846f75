"""The list of settings, and the values in force."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.config import values as read
from assay.config.rates import rate_limits
from assay.model.errors import SettingInvalid


@dataclass(frozen=True)
class Setting:
    """One setting: its name in a file, its environment variable, its default, how to read it, what it is for."""

    name: str
    environment: str
    default: str
    read: Callable[[str], Any]
    purpose: str
    secret: bool = False
    """Whether the value itself must not be shown; a URL is shown without its password in any case."""
    also: str = ""
    """A variable of another program that counts where nothing else gives a value."""
    separator: str = os.pathsep
    """What stands between the values of a list."""

    @property
    def flag(self) -> str:
        """How the option of this setting is written, on the commands that have one."""
        return f"--{self.name.replace('_', '-')}"


SETTINGS = (
    Setting("host", "ASSAY_HOST", "127.0.0.1", str, "address the server listens on"),
    Setting("open_access", "ASSAY_OPEN_ACCESS", "no", read.yes, "serve without API keys on other addresses than loopback"),
    Setting("port", "ASSAY_PORT", "8080", read.port, "port the server listens on; 0 picks a free one"),
    Setting("tls_cert_file", "ASSAY_TLS_CERT_FILE", "", read.optional_path, "certificate chain (PEM) for https"),
    Setting("tls_key_file", "ASSAY_TLS_KEY_FILE", "", read.optional_path, "key of the certificate (PEM)"),
    Setting("metrics_host", "ASSAY_METRICS_HOST", "127.0.0.1", str, "address of the metrics' own listener"),
    Setting("metrics_port", "ASSAY_METRICS_PORT", "", read.optional_port, "port of the metrics' own listener; empty: none"),
    Setting("data", "ASSAY_DATA", "~/.local/share/assay", read.path, "folder for everything kept"),
    Setting("database", "ASSAY_DATABASE", "", read.database, "postgresql:// URL, file:PATH, memory; empty: in `data`"),
    Setting("redis", "ASSAY_REDIS", "", read.redis, "redis:// URL of a Redis that servers share; empty: none"),
    Setting("catalog", "ASSAY_CATALOG", "", read.folders, "folders with providers/*.yaml, collections/*.yaml"),
    Setting("secrets", "ASSAY_SECRETS_DIR", "", read.optional_path, "folder of credentials"),
    Setting("engines", "ASSAY_ENGINES_DIR", "", read.optional_path, "folder of engines"),
    Setting("slots", "ASSAY_SLOTS", str(os.cpu_count() or 1), read.count, "runs that a worker executes at once"),
    Setting("grace_seconds", "ASSAY_GRACE_SECONDS", "10", read.seconds, "patience with a run whose process ended silently"),
    Setting("lease_seconds", "ASSAY_LEASE_SECONDS", "15", read.seconds, "patience with a worker that is silent"),
    Setting("run_timeout_seconds", "ASSAY_RUN_TIMEOUT_SECONDS", "86400", read.seconds, "longest time of one run"),
    Setting("read_timeout_seconds", "ASSAY_READ_TIMEOUT_SECONDS", "60", read.patience, "longest time a request body takes"),
    Setting("idle_timeout_seconds", "ASSAY_IDLE_TIMEOUT_SECONDS", "60", read.patience, "wait for the head of a request"),
    Setting("max_header_bytes", "ASSAY_MAX_HEADER_BYTES", str(1 << 20), read.header_bytes, "largest head of a request"),
    Setting("max_body_bytes", "ASSAY_MAX_BODY_BYTES", str(10 << 20), read.limit, "largest request body; -1: any"),
    Setting("max_log_bytes", "ASSAY_MAX_LOG_BYTES", str(16 << 20), read.count, "largest log kept of one attempt"),
    Setting("max_log_response_bytes", "ASSAY_MAX_LOG_RESPONSE_BYTES", "-1", read.limit, "largest log answer; -1: any"),
    Setting("log_stream_timeout_seconds", "ASSAY_LOG_STREAM_TIMEOUT_SECONDS", "0", read.seconds, "longest log answer"),
    Setting(
        "mlflow_tracking_uri", "ASSAY_MLFLOW_TRACKING_URI", "", read.web_url, "MLflow server; empty: no MLflow",
        also="MLFLOW_TRACKING_URI",
    ),
    Setting("mlflow_http_timeout_seconds", "ASSAY_MLFLOW_HTTP_TIMEOUT_SECONDS", "30", read.patience, "patience with MLflow"),
    Setting("mlflow_ca_cert_file", "ASSAY_MLFLOW_CA_CERT_FILE", "", read.optional_path, "CA of MLflow's certificate"),
    Setting("mlflow_token", "ASSAY_MLFLOW_TOKEN", "", str, "token for MLflow", secret=True, also="MLFLOW_TRACKING_TOKEN"),
    Setting("mlflow_token_file", "ASSAY_MLFLOW_TOKEN_FILE", "", read.optional_path, "file with that token; it counts more"),
    Setting("mlflow_workspace", "ASSAY_MLFLOW_WORKSPACE", "", str, "workspace of MLflow"),
    Setting("oci_auth_config_file", "ASSAY_OCI_AUTH_CONFIG_FILE", "", read.optional_path, "keys of registries (Docker)"),
    Setting("oci_ca_cert_file", "ASSAY_OCI_CA_CERT_FILE", "", read.optional_path, "CA of registries' certificates"),
    Setting("oci_http_timeout_seconds", "ASSAY_OCI_HTTP_TIMEOUT_SECONDS", "30", read.patience, "patience with a registry"),
    Setting("webhook_networks", "ASSAY_WEBHOOK_NETWORKS", "", read.networks, "inner networks for webhooks", separator=","),
    Setting("webhook_timeout_seconds", "ASSAY_WEBHOOK_TIMEOUT_SECONDS", "10", read.patience, "patience with a receiver"),
    Setting("webhook_retry_seconds", "ASSAY_WEBHOOK_RETRY_SECONDS", "86400", read.seconds, "how long a notice is tried"),
    Setting("max_webhooks", "ASSAY_MAX_WEBHOOKS", "100", read.limit, "webhooks of a tenant; -1: any number"),
    Setting("notification_source", "ASSAY_NOTIFICATION_SOURCE", "/assay", read.reference, "`source` of notifications"),
    Setting("redis_channel", "ASSAY_REDIS_CHANNEL", "", str, "channel of `redis` for notifications; empty: none"),
    Setting("dapr_pubsub", "ASSAY_DAPR_PUBSUB", "", read.segment, "pub/sub component of Dapr; empty: none"),
    Setting("dapr_topic", "ASSAY_DAPR_TOPIC", "assay", read.segment, "topic of that component"),
    Setting(
        "dapr_url", "ASSAY_DAPR_URL", "http://127.0.0.1:3500", read.web_url, "the Dapr sidecar", also="DAPR_HTTP_ENDPOINT"
    ),
    Setting("dapr_api_token", "ASSAY_DAPR_API_TOKEN", "", str, "token for the sidecar", secret=True, also="DAPR_API_TOKEN"),
    Setting("max_page_items", "ASSAY_MAX_PAGE_ITEMS", "10000", read.limit, "most items on a page; -1: any number"),
    Setting("max_open_jobs", "ASSAY_MAX_OPEN_JOBS", "-1", read.limit, "open jobs of a tenant; -1: any number"),
    Setting("max_benchmarks", "ASSAY_MAX_BENCHMARKS", "-1", read.limit, "benchmarks of a job; -1: any number"),
    Setting("quotas", "ASSAY_QUOTAS", "", read.optional_path, "file of quotas and weights (YAML); empty: none"),
    Setting("max_watchers", "ASSAY_MAX_WATCHERS", "10000", read.limit, "watchers of live events; -1: any number"),
    Setting("keep_folders_seconds", "ASSAY_KEEP_FOLDERS_SECONDS", "0", read.seconds, "how long a run's folder outlives it"),
    Setting("keep_jobs_days", "ASSAY_KEEP_JOBS_DAYS", "0", read.days, "how long jobs outlive their end; 0: for ever"),
    Setting(
        "keep_jobs_days_of_tenants", "ASSAY_KEEP_JOBS_DAYS_OF_TENANTS", "", read.days_of_tenants,
        "the same for single tenants: `ci=7,demo=1`", separator=",",
    ),
    Setting("keep_logs_days", "ASSAY_KEEP_LOGS_DAYS", "0", read.days, "how long logs outlive the end of their job"),
    Setting("keep_events_days", "ASSAY_KEEP_EVENTS_DAYS", "0", read.days, "how long events outlive the end of their job"),
    Setting("keep_workers_days", "ASSAY_KEEP_WORKERS_DAYS", "7", read.days, "how long silent workers are known; 0: always"),
    Setting("max_total_log_bytes", "ASSAY_MAX_TOTAL_LOG_BYTES", "-1", read.limit, "most bytes of all logs; -1: any"),
    Setting("cache_bytes", "ASSAY_CACHE_BYTES", str(10 << 30), read.count, "files that a worker keeps for later runs"),
    Setting("owner_policy", "ASSAY_OWNER_POLICY", "tenant", read.one_of("tenant", "owner_or_admin"), "who may make changes"),
    Setting("local_code", "ASSAY_LOCAL_CODE", "anyone", read.one_of("anyone", "admins"), "who may bring commands and tasks"),
    Setting("require_keys", "ASSAY_REQUIRE_KEYS", "no", read.yes, "ask for API keys though there is none yet"),
    Setting("roles_file", "ASSAY_ROLES_FILE", "", read.optional_path, "YAML file of roles"),
    Setting("rate_limits", "ASSAY_RATE_LIMITS", "", rate_limits, "calls per second and burst by cost class; on, off"),
    Setting("allowed_addresses", "ASSAY_ALLOWED_ADDRESSES", "", read.networks, "who may call; empty: all", separator=","),
    Setting("trusted_proxies", "ASSAY_TRUSTED_PROXIES", "", read.networks, "whose X-Forwarded-For counts", separator=","),
    Setting("ban_after", "ASSAY_BAN_AFTER", "20", read.tries, "wrong keys from an address that ban it; 0: never"),
    Setting("ban_seconds", "ASSAY_BAN_SECONDS", "60", read.patience, "first ban of an address; each is twice as long"),
    Setting("ban_longest_seconds", "ASSAY_BAN_LONGEST_SECONDS", "86400", read.patience, "longest ban of an address"),
    Setting("admins", "ASSAY_ADMINS", "", read.names, "users who are administrators, by commas", separator=","),
    Setting("allowed_origins", "ASSAY_ALLOWED_ORIGINS", "", read.origins, "web pages that may use the API", separator=","),
    Setting("termination_file", "ASSAY_TERMINATION_FILE", "", read.optional_path, "file for what made a start fail"),
    Setting("log_level", "ASSAY_LOG_LEVEL", "info", read.level, "what the server's own log shows"),
)  # fmt: skip

DEFAULT = "default"
"""The origin of a value that nobody gave."""


@dataclass(frozen=True)
class Settings:
    """The values in force, and where each came from.

    An origin is `flag --port`, `environment ASSAY_PORT`, `secret PATH`, `file PATH` (`file PATH: service.port` for EvalHub's
    keys) or `default`. `notes` say what a file holds that has no effect here.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()
    from_secrets: frozenset[str] = field(default=frozenset())
    """The names of the settings that secret files gave."""

    def __post_init__(self) -> None:
        vars(self).update(self.values)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def changed(self, **values: Any) -> Settings:
        """Return these settings with other values, each with its old origin."""
        return replace(self, values={**self.values, **values})

    @cached_property
    def on_loopback(self) -> bool:
        """Whether nobody but this machine reaches the server."""
        try:
            return ipaddress.ip_address(self.values["host"]).is_loopback
        except ValueError:
            return bool(self.values["host"] == "localhost")

    @cached_property
    def secrets_dir(self) -> Path:
        """Where named credentials are looked for."""
        named: Path | None = self.values["secrets"]
        return named or Path(self.values["data"]) / "secrets"

    @cached_property
    def database_file(self) -> Path:
        """The file of a SQLite database: the named one, else the data folder's."""
        named = str(self.values["database"]).removeprefix("file:")
        return Path(named).expanduser() if named else Path(self.values["data"]) / "assay.db"

    @cached_property
    def engines_dir(self) -> Path:
        """Where engine environments are: not in the data folder of one server, since they are large and can be shared."""
        named: Path | None = self.values["engines"]
        return named or engines_dir(data_dir())

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """Certificate and key; None for plain HTTP. Raises SettingInvalid when only one is given."""
        files = {name: self.values[name] for name in ("tls_cert_file", "tls_key_file")}
        cert, key = files.values()
        if cert and key:
            return cert, key
        for name, other in (("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")):
            if files[name]:
                raise SettingInvalid(
                    name=name, origin=self.origins[name], problem=f"{other} is needed with it; give both, or none of the two"
                )
        return None


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where Assay keeps everything, unless told otherwise."""
    return Path(environ.get("ASSAY_DATA") or "~/.local/share/assay").expanduser()


def engines_dir(data: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of engine environments for a data folder."""
    listed = environ.get("ASSAY_ENGINES_DIR")
    return Path(listed).expanduser() if listed else data / "engines"
