"""Entry of the spawner: `python -I -S -X utf8 __main__.py`, a socket to the worker (SOCK_SEQPACKET) as standard input."""

import os
import sys
from importlib import import_module

if __name__ == "__main__":
    # Isolated mode leaves the script's own folder out of the path.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.exit(import_module("launch.spawner").main())
