"""Replays recorded exchanges with an EvalHub server against Assay, and says where the answers differ and why.

`parsing` reads the record, `normal` makes answers comparable, `playing` sends requests to a server of its own (`serving`,
`adapter`), `unseen` makes what the record uses but does not show, `gallery` plays its tables, and `reasons` holds the
differences that are known.
"""
