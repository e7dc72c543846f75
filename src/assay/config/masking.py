"""Values as they may be shown: without passwords, tokens and what came from secret files."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from assay.config.settings import DEFAULT, SETTINGS, Setting, Settings

MASK = "[masked]"
_USER_INFO = re.compile(r"(?<=://)([^/?#:@]*):.+@")
"""User and password, up to the last `@`: a password may hold a slash that should have been encoded."""
_IN_QUERY = re.compile(r"(?i)([?&](?:password|sslpassword|token|secret|api_?key)=)[^&#]*")


def shown(settings: Settings, setting: Setting) -> str:
    """Return the value of a setting as text. A URL keeps its user name and loses its password."""
    value = settings.values[setting.name]
    if value is None or value == "":
        return ""
    text = setting.separator.join(map(str, value)) if isinstance(value, tuple) else str(value)
    if "://" in text:
        return without_password(text)
    return MASK if setting.secret or setting.name in settings.from_secrets else text


def differing(settings: Settings) -> str:
    """Return the settings that are not at their default, with their origins, in one line."""
    told = [setting for setting in SETTINGS if settings.origins[setting.name] != DEFAULT]
    return ", ".join(f"{s.name}={shown(settings, s)} ({settings.origins[s.name]})" for s in told) or "all at their defaults"


def without_password(url: str) -> str:
    """Return a URL with its password, and those in its query, masked."""
    return _IN_QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(rf"\1:{MASK}@", url, count=1))


def passwords(url: str) -> set[str]:
    """Return the passwords in a URL, as they stand there and decoded."""
    parts = urlsplit(url)
    listed = {value for name, value in parse_qsl(parts.query) if "password" in name.lower()}
    return {text for password in listed | {parts.password or ""} for text in (password, unquote(password)) if text}
