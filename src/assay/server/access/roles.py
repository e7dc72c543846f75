"""Reads the file of roles."""

from __future__ import annotations

import yaml

from assay.config import Settings
from assay.config.yaml_text import parsed
from assay.model.access import BUILT_IN, Roles, read_roles
from assay.model.errors import SettingInvalid


def roles_of(settings: Settings) -> Roles:
    """Return the roles in force. Raises SettingInvalid for a file that is not there or not right."""
    path = settings.roles_file
    if path is None:
        return BUILT_IN
    try:
        return read_roles(parsed(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
    except yaml.YAMLError as error:
        problem = f"{path} is not YAML: {' '.join(str(error).split())}"
    except ValueError as error:
        problem = f"{path}: {error}"
    raise SettingInvalid(name="roles_file", origin=settings.origins["roles_file"], problem=problem)
