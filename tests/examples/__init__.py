"""The examples, run as their pages say, against a real server."""
