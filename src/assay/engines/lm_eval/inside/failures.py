"""How a run fails: one exception with a stable code and a sentence for the user."""

from __future__ import annotations


class RunFailed(Exception):
    """The run cannot go on. `temporary` says that another attempt may succeed."""

    def __init__(self, code: str, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary
