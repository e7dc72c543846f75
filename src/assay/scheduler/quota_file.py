"""The file of quotas, while a server runs: a change of the file counts within seconds."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import yaml

from assay.config.yaml_text import parsed
from assay.model.errors import AssayError, QuotasInvalid
from assay.model.quotas import Quotas, quotas_of

log = logging.getLogger(__name__)

_PERIOD_S = 2.0


class QuotaFile:
    """The quotas in force. `path` None: none. Raises QuotasInvalid when it is made, never later."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()
        self.current = self._read()

    async def follow(self, period_s: float = _PERIOD_S) -> None:
        """Read the file anew whenever it has changed, for ever. One that is not valid leaves the quotas as they are."""
        while self._path is not None:
            await asyncio.sleep(period_s)
            seen = await asyncio.to_thread(self._stamp)
            if seen == self._seen:
                continue
            self._seen = seen
            try:
                self.current = await asyncio.to_thread(self._read)
                log.info("the quotas were read anew from %s", self._path)
            except AssayError as error:
                log.error("the quotas stay as they were: %s", error.message)
            except Exception:
                log.exception("the quotas stay as they were")

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None

    def _read(self) -> Quotas:
        if self._path is None:
            return Quotas()
        try:
            document = parsed(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            raise QuotasInvalid(path=self._path, problem=f"it cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise QuotasInvalid(path=self._path, problem=" ".join(str(error).split())) from error
        return quotas_of(document, self._path)
