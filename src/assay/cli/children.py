"""Programs of Assay as child processes: started, waited for until they are ready, and always stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

from assay.cli.exits import CommandError, Exit

_STOP_S = 12.0
_LAST_LINES = 15


class Child(AbstractContextManager["Child"]):
    """One child in a session of its own, so that Ctrl-C reaches only us, and we stop it. Should we be killed it ends itself.

    `module` and `arguments` are those of `python -m`; the program knows `--parent-pipe`. `ready` is a pattern whose first
    group, in a line of its stdout, is the URL that it answers on. What it says on stderr goes to the file `log`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        ready: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self._ready, self._log = name, re.compile(ready), log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--parent-pipe"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._url = ""
        self._ended = threading.Event()
        self._spoke = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not self._url and (found := self._ready.search(line.decode(errors="replace"))):
                self._url = found.group(1)
                self._spoke.set()
        self._ended.set()
        self._spoke.set()

    def wait_ready(self, timeout_s: float) -> str:
        """Return the URL of the child once it is ready; raise CommandError with its last lines otherwise."""
        if self._spoke.wait(timeout_s) and self._url:
            return self._url
        how = "ended" if self._ended.is_set() else f"was not ready within {timeout_s:g} s"
        raise CommandError(f"The {self.name} {how}.{self._last_words()}", Exit.FAILED)

    def wait(self) -> None:
        """Wait until the child ends by itself; then raise CommandError, because nobody told it to."""
        self._process.wait()
        raise CommandError(f"The {self.name} ended.{self._last_words()}", Exit.FAILED)

    def stop(self) -> None:
        """End the child and what it has started; kind first, then for certain. A second Ctrl-C shortens the first part."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _last_words(self) -> str:
        with self._log.open(errors="replace") as log:
            lines = [line.rstrip() for line in deque(log, maxlen=_LAST_LINES)]
        return " It said:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
