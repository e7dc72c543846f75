"""What can go wrong between a client and a server. No message ever holds a key."""

from __future__ import annotations


class ClientError(Exception):
    """A request brought no usable answer. The message is a sentence for the user."""


class Unreachable(ClientError):
    """Nobody answers at `url`: its name is unknown, the connection is refused or it breaks. `remedy` says
    what to do.
    """

    def __init__(self, url: str, reason: str, remedy: str = "") -> None:
        self.url, self.reason, self.remedy = url, reason, remedy
        super().__init__(f"Cannot reach {url}: {reason}. {remedy}".rstrip())


class TimedOut(ClientError):
    """`url` accepted the connection and then stayed silent for `seconds`."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url, self.seconds = url, seconds
        super().__init__(f"{url} did not answer within {seconds:g} s. It may be overloaded: try again, or look at its log.")


class ServerError(ClientError):
    """The server refused the request. `status` is HTTP's, `code` stable and for programs, `message` for
    people.

    `trace` finds the request in the server's log; `retry_after` is the server's own advice, in seconds.
    """

    def __init__(self, status: int, code: str, message: str, trace: str = "", retry_after: float | None = None) -> None:
        self.status, self.code, self.message = status, code, message
        self.trace, self.retry_after = trace, retry_after
        super().__init__(message)
