"""A benchmark with known numbers, for chaos: speaks the adapter contract with the standard library alone.

`work`: reports its progress for a while, then numbers that follow from its name. `stand`: waits to be reported on by hand,
until the file named by its job and index is there (the second argument is the folder), or for a minute.
"""

import hashlib
import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

with open(os.environ["EVALHUB_JOB_SPEC_PATH"], encoding="utf-8") as file:
    spec = json.load(file)


def post(status: str, **more: object) -> int:
    event = {
        "provider_id": spec["provider_id"],
        "id": spec["benchmark_id"],
        "benchmark_index": spec["benchmark_index"],
        "status": status,
        **more,
    }
    target = urlsplit(spec["callback_url"])
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)
    path = f"{target.path}/api/v1/evaluations/jobs/{spec['id']}/events"
    connection.request("POST", path, json.dumps({"benchmark_status_event": event}), {"Content-Type": "application/json"})
    return connection.getresponse().status


if sys.argv[1] == "stand":
    told = os.path.join(sys.argv[2], f"{spec['id']}.{spec['benchmark_index']}")
    until = time.monotonic() + 60
    while time.monotonic() < until and not os.path.exists(told):
        time.sleep(0.05)
    sys.exit(0)

steps = 1 + int(hashlib.sha256(spec["benchmark_id"].encode()).hexdigest()[:2], 16) % 8
for step in range(steps):
    print(f"step {step} of {steps}", flush=True)
    post("running", phase="running_evaluation")
    time.sleep(0.1)
score = int(hashlib.sha256(spec["benchmark_id"].encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
sys.exit(0 if post("completed", metrics={"score": score, "steps": steps}) == 204 else 1)
