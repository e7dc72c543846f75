"""Engines: one module each, and the environments they run in.

Built-in and third-party engines come in by the same door: the entry-point groups `assay.planners` and `assay.executors`.
"""
