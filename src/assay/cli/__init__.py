"""The command line: one module a command, loaded when it is used.

Commands talk to a server through `assay.client`; `programs` alone starts the other programs of Assay, and
imports them only when it does. Exit codes are in `assay.cli.exits`.
"""

from assay.cli.main import main

__all__ = ["main"]
