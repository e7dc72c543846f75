"""The practice endpoint as a process: binds a port, says when it is ready, stops on SIGINT and SIGTERM."""

from __future__ import annotations

import sys

from assay import eventloop, listening
from assay.practice.app import create_app
from assay.practice.options import Options


def serve(host: str, port: int, options: Options) -> None:
    """Serve until SIGINT or SIGTERM.

    Prints `practice model ready on http://HOST:PORT/v1` once it accepts connections. Port 0 picks a free one. Raises
    CannotListen.
    """
    listener = listening.bind(host, port)
    with listener:
        app = create_app(options)

        async def run() -> None:
            sys.stdout.write(f"practice model ready on {listening.url_of(listener)}/v1\n")
            sys.stdout.flush()

            async def stopping() -> None:
                app.state.endpoint.closing.set()

            await listening.serve(app, listener, stopping)

        eventloop.run(run())
