"""The whole system as a user has it: real server, worker, gateway, engine and model, each a process."""
