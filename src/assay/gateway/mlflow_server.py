"""The MLflow server that the settings name, and the token it wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assay.config import Settings
from assay.gateway.credentials import MAX_SECRET_BYTES, Credential
from assay.gateway.errors import CredentialError


@dataclass(frozen=True)
class MlflowServer:
    """Where experiments are tracked. `url` is without a final slash; `workspace` is for callers without a tenant."""

    url: str
    token: str = field(default="", repr=False)
    token_path: Path | None = None
    ca_cert: Path | None = None
    timeout_s: float = 30.0
    workspace: str = ""

    @classmethod
    def of(cls, settings: Settings) -> MlflowServer | None:
        """Return the server that the settings name, None where they name none."""
        if not settings.mlflow_tracking_uri:
            return None
        return cls(
            url=settings.mlflow_tracking_uri,
            token=settings.mlflow_token,
            token_path=settings.mlflow_token_file,
            ca_cert=settings.mlflow_ca_cert_file,
            timeout_s=settings.mlflow_http_timeout_seconds or 30.0,
            workspace=settings.mlflow_workspace,
        )

    def credential(self) -> Credential:
        """Return the token as it is now: files are read each time, since tokens in them are exchanged while in use.

        Raises CredentialError, which names the file and never its content.
        """
        if self.token_path is None:
            return Credential(self.token.strip() or None, "mlflow_token")
        try:
            with self.token_path.open("rb") as file:
                data = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise CredentialError(
                f"The file {self.token_path} of mlflow_token_file cannot be read: {error.strerror}."
            ) from None
        try:
            token = data.decode().strip()
        except UnicodeDecodeError:
            token = ""
        if not token or len(data) > MAX_SECRET_BYTES:
            raise CredentialError(f"The file {self.token_path} of mlflow_token_file holds no token.")
        return Credential(token, "mlflow_token_file")
