"""`assay webhooks` against a real server and a real receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.notify.receiver import Receiver
from tests.server.client import Api

Receive = Callable[..., Receiver]


def assay(api: Api, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ASSAY_SERVER": api.url, "ASSAY_TENANT": api.headers["x-tenant"]}
    command = [sys.executable, "-m", "assay", "webhooks", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_a_webhook_is_made_tried_paused_and_deleted(api: Api, receive: Receive) -> None:
    hook = receive()
    made = assay(api, "create", hook.url, "--secret", "hook", "--event", "assay.job.*", "--tag", "nightly")
    assert made.returncode == 0, made.stderr
    webhook = made.stdout.strip()
    tried = assay(api, "test", webhook)
    assert (tried.returncode, tried.stdout) == (0, "delivered: the receiver answered 204\n")
    assert hook.types() == ["assay.webhook.test"]
    (row,) = assay(api, "deliveries", webhook).stdout.splitlines()[1:]
    assert row.split()[1:5] == ["assay.webhook.test", "-", "delivered", "1"]
    assert assay(api, "pause", webhook).returncode == 0
    (listed,) = json.loads(assay(api, "list", "--json").stdout)["items"]
    assert (listed["paused"], listed["events"], listed["tags"]) == (True, ["assay.job.*"], ["nightly"])
    assert assay(api, "resume", webhook).returncode == 0
    assert "active" in assay(api, "list").stdout
    assert assay(api, "delete", webhook).returncode == 0
    assert "There are no webhooks" in assay(api, "list").stderr


def test_a_test_that_does_not_arrive_ends_with_1_and_the_reason(api: Api, receive: Receive) -> None:
    webhook = assay(api, "create", receive(answer=lambda n: (500, {})).url).stdout.strip()
    tried = assay(api, "test", webhook)
    assert tried.returncode == 1
    assert "the receiver answered 500" in tried.stderr


def test_an_inner_address_is_refused_in_one_line(api: Api) -> None:
    refused = assay(api, "create", "http://10.0.0.1/hook")
    assert refused.returncode == 2
    assert "url: the address 10.0.0.1 is an inner one" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
