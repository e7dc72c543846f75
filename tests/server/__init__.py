"""The HTTP server as its clients see it, whatever they ask."""
