"""A server with a Redis: it starts without it, says how it stands, and lets nobody see the password."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evalhub.live import until
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.server.scrape import Scrape
from tests.server.serving import serving
from tests.system.deployment import Deployment, running, wait_until


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def test_a_server_starts_without_it_uses_it_when_it_comes_and_is_healthy_all_the_while(
    redis: RedisServer, tmp_path: Path
) -> None:
    redis.kill()
    with serving(tmp_path, ASSAY_REDIS=redis.url) as served:

        def standing() -> tuple[str, float]:
            health = served.api.get("/api/v1/health")
            assert (health.status, health.json["status"]) == (200, "healthy")
            return health.json["checks"]["redis"], Scrape.of(served.api).value("assay_redis_connected")

        assert standing() == ("away", 0)
        redis.start()
        until(lambda: standing() == ("ok", 1), "Redis")
        redis.kill()
        until(lambda: standing() == ("away", 0), "the outage")
        assert Scrape.of(served.api).value("assay_redis_errors_total") > 0
        log = served.log.read_text()
    told = [line for line in log.splitlines() if "Redis at" in line or "Redis is back" in line]
    assert [("is away" in line, "is back" in line) for line in told] == [(True, False), (False, True), (True, False)]
    assert PASSWORD not in log


def test_a_server_without_one_says_nothing_of_it(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.api.get("/api/v1/health").json["checks"] == {"store": "ok"}
        assert Scrape.of(served.api).by("assay_redis_connected") == {}


def test_the_password_is_in_no_command_line_and_not_with_the_worker(redis: RedisServer, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "data", f"--redis={redis.url}", environment={"ASSAY_REDIS": redis.url})
    deployment.start()
    (worker,) = wait_until(deployment.workers, 60, "the worker")
    assert deployment.process is not None
    seen = {pid: (environment, command) for pid, environment, command in running()}
    assert PASSWORD not in seen[deployment.process.pid][1]
    environment, command = seen[worker]
    assert b"ASSAY_REDIS=" not in environment
    assert PASSWORD.encode() not in environment
    assert PASSWORD not in command
    deployment.stop()
    assert PASSWORD not in deployment.log.read_text()


_REFUSED = "redis (environment ASSAY_REDIS): "


@pytest.mark.parametrize(
    ("blocked", "url", "message"),
    [
        (
            "redis",
            "redis://h/0",
            "Redis needs an extra of Assay that is not installed. Run `pip install './assay[redis]",
        ),
        ("none", "redis://h/0?no_such=1", f"{_REFUSED}it is no URL of a Redis server"),
        ("none", "redis://:se/cret@h/0", f"{_REFUSED}it is no URL of a Redis server. In its user name"),
        ("none", "memcached://h", f"{_REFUSED}a URL that begins with redis://, rediss:// (TLS) or unix://"),
    ],
)
def test_what_cannot_work_ends_the_start_in_one_line(tmp_path: Path, blocked: str, url: str, message: str) -> None:
    program = f"import sys; sys.modules[{blocked!r}] = None; from assay.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--port", "0", "--no-worker", "--data", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, env={"ASSAY_REDIS": url}, check=False, timeout=120)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert message in last
    assert "Traceback" not in ended.stderr
    assert "se/cret" not in ended.stderr
