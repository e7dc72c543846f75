"""The workers' face: register, lease, heartbeat, start, end, logs and artifacts. Only a worker with its key may call."""
