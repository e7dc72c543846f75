"""Runtimes: where an attempt executes."""
