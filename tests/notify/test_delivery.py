"""Changes of jobs and runs reach webhooks: signed, in order, and however often it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.evalhub.live import until
from tests.notify.conftest import SECRET, WEBHOOKS, deliveries, subscribe
from tests.notify.receiver import Receiver
from tests.server.client import JOBS, Api

Receive = Callable[..., Receiver]
LIFE = [
    "assay.job.created",
    "assay.run.running",
    "assay.job.running",
    "assay.run.completed",
    "assay.job.completed",
]


def live(api: Api, **members: Any) -> str:
    """Have a job go through its life; return its id."""
    job_id = api.submit(**members)
    assert api.report(job_id, "running").status == 204
    assert api.report(job_id, "completed", metrics={"acc": 1}).status == 204
    return job_id


def state_of(api: Api, webhook: str, state: str) -> list[dict[str, Any]]:
    return [one for one in deliveries(api, webhook) if one["state"] == state]


def test_the_life_of_a_job_is_told_in_order(api: Api, receive: Receive) -> None:
    hook = receive()
    subscribe(api, hook.url)
    job_id = live(api)
    assert [event["type"] for event in hook.wait(5)] == LIFE
    assert api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    assert hook.wait(6)[5]["type"] == "assay.job.deleted"


def test_an_event_is_a_cloudevent_that_says_what_has_changed(api: Api, receive: Receive) -> None:
    hook = receive()
    subscribe(api, hook.url, events=["assay.run.completed", "assay.job.completed"])
    job_id = live(api, name="nightly")
    of_run, of_job = hook.wait(2)
    tenant = api.headers["x-tenant"]
    about = {"job_id": job_id, "name": "nightly", "tenant": tenant, "owner": "", "model": "m", "collection": ""}
    run_id = of_run["data"]["run_id"]
    of_this = {"run_id": run_id, "index": 0, "provider_id": "manual", "benchmark_id": "b0", "attempts": 0}
    assert of_run["data"] == {**about, "state": "completed", **of_this}
    assert of_job["data"] == {**about, "state": "completed"}
    assert of_job["subject"] == f"{JOBS}/{job_id}"
    assert of_run["subject"] == f"{JOBS}/{job_id}/benchmarks/0"
    for event in (of_run, of_job):
        envelope = {name: event[name] for name in ("specversion", "source", "datacontenttype")}
        assert envelope == {"specversion": "1.0", "source": "/assay", "datacontenttype": "application/json"}
        assert event["time"].endswith("Z")
    assert of_run["id"] != of_job["id"]
    assert hook.received[0].headers["content-type"] == "application/cloudevents+json"


def test_a_signature_is_what_standard_webhooks_verify(api: Api, receive: Receive) -> None:
    hook = receive()
    subscribe(api, hook.url, secret_ref="hook", events=["assay.job.created"])
    api.submit()
    hook.wait(1)
    (request,) = hook.received
    assert Webhook(SECRET).verify(request.body, dict(request.headers))["type"] == "assay.job.created"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", dict(request.headers))
    assert request.headers["webhook-id"] == request.event["id"]


def test_a_receiver_that_fails_gets_the_same_event_again(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (500 if n == 1 else 200, {}))
    webhook = subscribe(api, hook.url, secret_ref="hook", events=["assay.job.*"])
    live(api)
    events = hook.wait(4)
    assert [event["type"] for event in events] == [
        "assay.job.created",
        "assay.job.created",
        "assay.job.running",
        "assay.job.completed",
    ]
    first, second = hook.received[:2]
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert Webhook(SECRET).verify(second.body, dict(second.headers))
    done = until(lambda: len(found := state_of(api, webhook, "delivered")) == 3 and found, "three deliveries")
    assert [(one["attempts"], one["status"]) for one in done] == [(1, 200), (1, 200), (2, 200)]


def test_the_next_attempt_and_its_reason_can_be_seen(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (503, {"Retry-After": "600"}))
    webhook = subscribe(api, hook.url)
    api.submit()
    waiting = until(lambda: [one for one in deliveries(api, webhook) if one["attempts"]], "an attempt")
    (one,) = [one for one in waiting if "status" in one] or until(
        lambda: [one for one in deliveries(api, webhook) if "status" in one], "its outcome"
    )
    assert (one["state"], one["status"], one["message"]) == ("pending", 503, "the receiver answered 503")
    created, next_attempt = (one[name] for name in ("created_at", "next_attempt_at"))
    assert next_attempt > created


def test_a_receiver_that_is_gone_has_the_last_word(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (410, {}))
    webhook = subscribe(api, hook.url, events=["assay.job.created"])
    api.submit()
    (one,) = until(lambda: state_of(api, webhook, "failed"), "the end")
    assert (one["attempts"], one["status"], "next_attempt_at" in one) == (1, 410, False)


def test_redirects_are_not_followed(api: Api, receive: Receive) -> None:
    inner = receive()
    hook = receive(answer=lambda n: (307, {"Location": inner.url}))
    webhook = subscribe(api, hook.url)
    api.post(f"{WEBHOOKS}/{webhook}/test", None)
    (one,) = until(lambda: state_of(api, webhook, "failed"), "the end")
    assert one["message"] == "the receiver answered 307: redirects are not followed"
    assert inner.received == []


def test_a_long_answer_is_not_read_to_its_end(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (200, {}), body=b"x" * (64 << 20))
    webhook = subscribe(api, hook.url, events=["assay.job.created"])
    api.submit()
    assert until(lambda: state_of(api, webhook, "delivered"), "the delivery")


def test_receivers_that_hang_delay_nobody_else(api: Api, receive: Receive) -> None:
    silent = [receive() for _ in range(3)]
    for one in silent:
        one.answer = one.hang
        subscribe(api, one.url, events=["assay.job.created"])
    hook = receive()
    subscribe(api, hook.url, events=["assay.job.created"])
    jobs = [api.submit() for _ in range(30)]
    found = hook.wait(30)
    assert {event["data"]["job_id"] for event in found} == set(jobs)
    assert all(len(one.received) <= 4 for one in silent)
    assert api.report(jobs[0], "completed").status == 204


def test_a_hanging_attempt_ends_with_its_time(api: Api, receive: Receive) -> None:
    hook = receive()
    hook.answer = hook.hang
    webhook = subscribe(api, hook.url)
    api.post(f"{WEBHOOKS}/{webhook}/test", None)
    (one,) = until(lambda: state_of(api, webhook, "failed"), "the end")
    assert one["message"] == "no answer within 3 s"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"events": ["assay.job.completed"]}, ["assay.job.completed"]),
        ({"events": ["assay.run.*"]}, ["assay.run.running", "assay.run.completed"]),
        ({"names": ["j"]}, LIFE),
        ({"names": ["other"]}, []),
        ({"tags": ["nightly", "b"]}, LIFE),
        ({"tags": ["weekly"]}, []),
        ({"tags": ["nightly"], "names": ["other"]}, []),
    ],
    ids=str,
)
def test_only_what_was_asked_for_is_told(api: Api, receive: Receive, wanted: dict[str, Any], told: list[str]) -> None:
    hook, every = receive(), receive()
    webhook = subscribe(api, hook.url, **wanted)
    subscribe(api, every.url)
    live(api, tags=["nightly", "a"])
    every.wait(5)
    hook.wait(len(told)) if told else None
    assert hook.types() == told
    assert len(deliveries(api, webhook)) == len(told)


def test_other_tenants_hear_nothing(api: Api, receive: Receive) -> None:
    ours, theirs = receive(), receive()
    subscribe(api, ours.url)
    webhook = subscribe(api.as_(x_tenant="somebody-else"), theirs.url)
    live(api)
    ours.wait(5)
    assert deliveries(api.as_(x_tenant="somebody-else"), webhook) == []


def test_a_paused_webhook_is_sent_what_waits_when_it_is_resumed(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (500 if n == 1 else 204, {}))
    webhook = subscribe(api, hook.url, events=["assay.job.created", "assay.job.completed"])
    before = api.submit()
    until(lambda: [one for one in deliveries(api, webhook) if "status" in one], "the first attempt")
    assert api.call("PATCH", f"{WEBHOOKS}/{webhook}", {"paused": True}).json["paused"] is True
    api.submit()
    assert api.post(f"{WEBHOOKS}/{webhook}/test", None).code == "webhook_paused"
    assert api.call("PATCH", f"{WEBHOOKS}/{webhook}", {"paused": False}).json["paused"] is False
    after = api.submit()
    hook.wait(1, after)
    hook.wait(2, before)
    assert {event["data"]["job_id"] for event in hook.events()} == {before, after}


def test_a_webhook_can_be_tried_out(api: Api, receive: Receive) -> None:
    hook = receive()
    webhook = subscribe(api, hook.url, secret_ref="hook", events=["assay.job.completed"])
    reply = api.post(f"{WEBHOOKS}/{webhook}/test", None)
    assert (reply.status, reply.json["state"]) == (202, "pending")
    (event,) = hook.wait(1)
    assert (event["type"], event["id"], event["data"]) == (
        "assay.webhook.test",
        reply.json["id"],
        {"webhook_id": webhook},
    )


def test_what_waits_for_a_deleted_webhook_is_dropped(api: Api, receive: Receive) -> None:
    hook = receive(answer=lambda n: (500, {}))
    webhook = subscribe(api, hook.url)
    api.submit()
    hook.wait(1)
    assert api.delete(f"{WEBHOOKS}/{webhook}").status == 204
    assert api.get(f"{WEBHOOKS}/{webhook}/deliveries").status == 404
    assert api.get(WEBHOOKS).json["total_count"] == 0
