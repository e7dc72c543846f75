"""The Python client of Assay: what the command line, other programs and the worker use to talk to a server.

It knows the vocabulary (`assay.model`) and the standard library, so that it starts in a few milliseconds.
`Http` carries requests, `Evaluations` speaks of jobs and providers, `Webhooks` of who is told of their changes.
"""

from assay.client.errors import ClientError, ServerError, TimedOut, Unreachable
from assay.client.evaluations import Evaluations
from assay.client.http import Answer, Http
from assay.client.webhooks import Webhooks

__all__ = ["Answer", "ClientError", "Evaluations", "Http", "ServerError", "TimedOut", "Unreachable", "Webhooks"]
