"""A program that speaks the adapter contract and misbehaves as its first argument says; the second is a folder for notes."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

vice, notes = sys.argv[1], sys.argv[2]


def note(name: str, text: str) -> None:
    with open(os.path.join(notes, name), "a", encoding="ascii") as file:
        file.write(text + "\n")


def post(status: str) -> None:
    with open(os.environ["EVALHUB_JOB_SPEC_PATH"], encoding="utf-8") as file:
        spec = json.load(file)
    event = {
        "provider_id": spec["provider_id"],
        "id": spec["benchmark_id"],
        "benchmark_index": spec["benchmark_index"],
        "status": status,
        "metrics": {"score": 1.0},
    }
    target = urlsplit(spec["callback_url"])
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    path = f"{target.path}/api/v1/evaluations/jobs/{spec['id']}/events"
    connection.request("POST", path, json.dumps({"benchmark_status_event": event}), {"Content-Type": "application/json"})
    note("answers", str(connection.getresponse().status))


def leave_a_daemon() -> None:
    """Start a process in a session of its own, with nothing of ours in its environment, and let it be orphaned."""
    keep = "import os,sys,time; open(sys.argv[1],'w').write(str(os.getpid())); time.sleep(600)"
    daemon = ["/usr/bin/env", "-i", "setsid", "-f", sys.executable, "-I", "-S", "-c", keep, os.path.join(notes, "daemon")]
    subprocess.run(daemon, check=True)
    while not os.path.exists(os.path.join(notes, "daemon")) or not os.path.getsize(os.path.join(notes, "daemon")):
        time.sleep(0.01)


if vice == "daemon":
    leave_a_daemon()
    post("completed")
elif vice == "daemon-and-stays":
    leave_a_daemon()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("ready", "yes")
    time.sleep(600)
elif vice == "flood":
    for _ in range(200):
        os.write(1, b"x" * 99 + b"\n" + os.urandom(1 << 20))
    print("\nthe last words", flush=True)
    sys.exit(3)
elif vice == "thrice":
    post("failed")
    post("completed")
    post("completed")
elif vice == "stands":
    note("started", str(os.getpid()))
    while not os.path.exists(os.path.join(notes, "go")):
        time.sleep(0.02)
    post("completed")
