"""Entry of every process inside the engine's environment: `python -I __main__.py run|host|index …`."""

import sys
from importlib import import_module
from pathlib import Path

_MODULES = {"run": "driver", "host": "host", "index": "task_index"}

if __name__ == "__main__":
    # Isolated mode leaves the script's own folder out of the path. Appended, so that it can hide no library.
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    if len(sys.argv) < 2 or sys.argv[1] not in _MODULES:
        sys.exit(f"usage: __main__.py {'|'.join(_MODULES)} …")
    sys.exit(import_module(f"inside.{_MODULES[sys.argv[1]]}").main(sys.argv[2:]))
