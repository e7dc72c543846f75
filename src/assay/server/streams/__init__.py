"""Live events: what happens to jobs, told to any number of watchers while it happens.

A *feed* reads the store, once for each job (or for all jobs) and process, whoever watches. It encodes each event once and
hands the same bytes to every *watcher*. A watcher first reads the history for itself, then joins its feed. `answer.py` says
it over HTTP, as server-sent events, and over WebSocket.
"""

from assay.server.streams.hub import Streams

__all__ = ["Streams"]
