"""Makes self-signed certificates with OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str = "eval.example") -> tuple[Path, Path]:
    """Return a certificate for `name`, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    subject = ("-addext", f"subjectAltName=DNS:{name}")
    command = ["openssl", *request, *subject, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
