"""`assay webhooks`: who is told of the changes of jobs and runs."""

from __future__ import annotations

import json
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import CommandError, Exit, say
from assay.cli.given import filled
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, pass_settings, server_options
from assay.cli.several import each
from assay.client.errors import ServerError


@click.group(
    cls=LazyGroup,
    table={
        "list": Entry("assay.cli.webhooks:list_webhooks", "List your webhooks."),
        "create": Entry("assay.cli.webhooks:create", "Have changes sent to a URL."),
        "test": Entry("assay.cli.webhooks:test", "Send a webhook a notice, and see whether it arrives."),
        "deliveries": Entry("assay.cli.webhooks:deliveries", "Show what a webhook was sent, and what became of it."),
        "pause": Entry("assay.cli.webhooks:pause", "Send a webhook nothing for a while."),
        "resume": Entry("assay.cli.webhooks:resume", "Go on with a paused webhook."),
        "delete": Entry("assay.cli.webhooks:delete", "Delete webhooks."),
    },
)
@server_options
def webhooks() -> None:
    """Have the server tell other programs when jobs and runs change.

    \b
    Examples:
      assay webhooks create https://ci.example/assay --secret ci --event assay.job.completed
      assay webhooks test ID
      assay webhooks deliveries ID
    """


@click.command("list")
@server_options
@pass_settings
def list_webhooks(settings: Settings) -> None:
    """List your webhooks, newest first.

    \b
    Examples:
      assay webhooks list
      assay webhooks list --json
    """
    found = settings.webhooks().list()
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    if not found:
        say("There are no webhooks. `assay webhooks create URL` makes one.")
        return
    rows = [
        (
            item["resource"]["id"],
            "paused" if item.get("paused") else "active",
            text.shortened(", ".join(item.get("events") or ["all"]), 50),
            text.shortened(str(item.get("url", "")), 60),
        )
        for item in found
    ]
    click.echo(text.table(("ID", "STATE", "EVENTS", "URL"), rows))


@click.command()
@server_options
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Only this type: assay.job.failed, assay.run.*; repeatable.")
@click.option("--name", "names", multiple=True, help="Only jobs of this name; repeatable.")
@click.option("--tag", "tags", multiple=True, help="Only jobs with this tag; repeated: with one of them.")
@click.option("--secret", metavar="NAME", help="The secret that signs: a file of this name in the server's secrets folder.")
@click.option("--description", help="What the webhook is for.")
@pass_settings
def create(
    settings: Settings,
    url: str,
    events: tuple[str, ...],
    names: tuple[str, ...],
    tags: tuple[str, ...],
    secret: str | None,
    description: str | None,
) -> None:
    """Have changes of your jobs and runs sent to URL, as CloudEvents. Prints the webhook's id.

    \b
    Examples:
      assay webhooks create https://ci.example/assay --secret ci
      assay webhooks create https://ci.example/assay --event assay.job.failed --tag nightly
      assay webhooks test ID                # does it arrive?
    """
    given = {"url": url, "events": events, "names": names, "tags": tags, "secret_ref": secret, "description": description}
    made = settings.webhooks().create({name: value for name, value in given.items() if value})
    if settings.json:
        click.echo(json.dumps(made))
        return
    click.echo(made["resource"]["id"])
    if not secret:
        say("It has no secret, so its receiver cannot tell whether a notification is genuine.")


@click.command()
@server_options
@click.argument("webhook", callback=filled)
@pass_settings
def test(settings: Settings, webhook: str) -> None:
    """Send a webhook a notice that only says that it has arrived. The exit code is 1 if it does not.

    \b
    Example:
      assay webhooks test 01920000-0000-7000-8000-000000000000
    """
    try:
        sent = settings.webhooks().test(webhook)
    except ServerError as error:
        if error.code == "webhook_paused":
            remedy = f"Resume it with `assay webhooks resume {webhook}`, then test it."
            raise CommandError(f"The webhook {webhook} is paused. {remedy}") from None
        raise
    if settings.json:
        click.echo(json.dumps(sent))
    elif sent["state"] == "delivered":
        click.echo(f"delivered: the receiver answered {sent['status']}")
    if sent["state"] != "delivered":
        raise CommandError(f"It was not delivered: {text.printable(sent.get('message', ''))}.", Exit.FAILED)


@click.command()
@server_options
@click.argument("webhook", callback=filled)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="At most this many.")
@pass_settings
def deliveries(settings: Settings, webhook: str, limit: int) -> None:
    """Show what a webhook was sent of late, newest first, and what became of it.

    \b
    Examples:
      assay webhooks deliveries 01920000-0000-7000-8000-000000000000
      assay webhooks deliveries ID --json | jq '.items[] | select(.state == "failed")'
    """
    found = settings.webhooks().deliveries(webhook, limit)
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    if not found:
        say("Nothing was sent yet. `assay webhooks test` sends something.")
        return
    headings = ("AGE", "TYPE", "JOB", "STATE", "ATTEMPTS", "MESSAGE")
    click.echo(text.table(headings, [_row(item) for item in found], frozenset({4})))


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    message = item.get("message") or (f"answered {item['status']}" if "status" in item else "")
    return (
        text.age(str(item["created_at"])),
        str(item["type"]),
        str(item.get("job_id", "-")),
        str(item["state"]),
        str(item["attempts"]),
        text.shortened(text.printable(message), 60),
    )


@click.command()
@server_options
@click.argument("webhook", callback=filled)
@pass_settings
def pause(settings: Settings, webhook: str) -> None:
    """Send a webhook nothing until it is resumed. What waits is kept; what changes meanwhile is not told.

    \b
    Example:
      assay webhooks pause 01920000-0000-7000-8000-000000000000
    """
    _set_paused(settings, webhook, True)


@click.command()
@server_options
@click.argument("webhook", callback=filled)
@pass_settings
def resume(settings: Settings, webhook: str) -> None:
    """Go on with a paused webhook: what waited is sent.

    \b
    Example:
      assay webhooks resume 01920000-0000-7000-8000-000000000000
    """
    _set_paused(settings, webhook, False)


def _set_paused(settings: Settings, webhook: str, paused: bool) -> None:
    changed = settings.webhooks().change(webhook, {"paused": paused})
    if settings.json:
        click.echo(json.dumps(changed))
    else:
        say(f"The webhook is {'paused' if paused else 'active'}.")


@click.command()
@server_options
@click.argument("webhooks", nargs=-1, required=True, callback=filled)
@pass_settings
def delete(settings: Settings, webhooks: tuple[str, ...]) -> int:
    """Delete webhooks, and what waits for them.

    \b
    Example:
      assay webhooks delete 01920000-0000-7000-8000-000000000000
    """
    return each(settings, webhooks, settings.webhooks().delete, "deleted")
