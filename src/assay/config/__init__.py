"""The settings: which there are, where each may be given, and what is in force.

Flags count most, then the environment, then secret files, then a file, then the defaults. A file is Assay's own (TOML) or
EvalHub's `config.yaml`, whose keys are turned into Assay's settings by `evalhub`: there is one list of settings.
"""

from assay.config.loading import load, located, read_file
from assay.config.settings import SETTINGS, Setting, Settings, data_dir, engines_dir
from assay.config.sources import SettingsFile

__all__ = ["SETTINGS", "Setting", "Settings", "SettingsFile", "data_dir", "engines_dir", "load", "located", "read_file"]
