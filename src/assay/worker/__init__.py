"""The worker: leases runs from a server, carries each out with its engine, and brings back what came of it."""
