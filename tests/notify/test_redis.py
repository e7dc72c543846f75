"""Notices are published on a channel of Redis, for the jobs of all tenants; while Redis is away they wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from assay.config.loading import load
from assay.model.errors import SettingInvalid
from assay.server.program import open_redis
from tests.evalhub.live import until
from tests.notify.conftest import settings
from tests.redis_server import RedisServer, redis_server
from tests.server.serving import serving

CHANNEL = "assay:notifications"


LIFE = ["assay.job.created", "assay.run.completed", "assay.job.completed"]


class Ear:
    """Hears the channel."""

    def __init__(self, server: RedisServer) -> None:
        self._pubsub: Any = redis.Redis.from_url(server.url).pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(CHANNEL)
        until(lambda: self._pubsub.get_message(timeout=1), "the subscription")
        self.heard: list[dict[str, Any]] = []

    def until(self, last: str) -> list[str]:
        """Listen until an event of this type has come; return the types of all that came."""

        def heard() -> bool:
            if message := self._pubsub.get_message(timeout=0.1):
                self.heard.append(json.loads(message["data"]))
            return any(event["type"] == last for event in self.heard)

        until(heard, f"{last} after {self.heard}")
        return [event["type"] for event in self.heard]


def test_changes_are_published_and_wait_while_redis_is_away(tmp_path: Path, catalogue_folder: Path) -> None:
    with redis_server() as server:
        chosen = {**settings(tmp_path), "ASSAY_REDIS": server.url, "ASSAY_REDIS_CHANNEL": CHANNEL}
        with serving(tmp_path, "--catalog", str(catalogue_folder), worker=False, **chosen) as running:
            ear = Ear(server)
            first = running.api.as_(x_tenant="a").submit()
            ear.until("assay.job.created")
            (created,) = ear.heard
            assert (created["type"], created["data"]["job_id"], created["data"]["tenant"]) == (
                "assay.job.created",
                first,
                "a",
            )
            server.kill()
            second = running.api.as_(x_tenant="b").submit()
            server.start()
            again = Ear(server)
            assert running.api.as_(x_tenant="b").report(second, "completed").status == 204
            types = again.until("assay.job.completed")
            # The first was published as soon as Redis was back: perhaps before anybody listened.
            assert types in (LIFE, LIFE[1:])


def test_a_channel_needs_a_redis() -> None:
    with pytest.raises(SettingInvalid, match="redis_channel .* needs the setting redis"):
        open_redis(load({}, {"ASSAY_REDIS_CHANNEL": CHANNEL}))
