"""The documentation is complete, and what it names is there."""
