"""Messages that come with descriptors."""

from __future__ import annotations

import array
import socket


def receive(connection: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Return up to `size` bytes and the descriptors, `most` of them, that came with them; no bytes when nobody is there.

    No program that is started inherits them: `socket.recv_fds` of Python 3.11 does not heed the flag that says so.
    """
    found = array.array("i")
    space = socket.CMSG_SPACE(most * found.itemsize)
    try:
        message, ancillary, _, _ = connection.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return b"", []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return message, list(found)
