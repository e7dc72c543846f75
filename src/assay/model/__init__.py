"""The vocabulary of Assay and its rules.

Everything here is pure: no I/O, no clock, no randomness. States and transitions are data, plans have a digest, scores are
functions. Every other part of Assay speaks in these words, and imports run towards this folder only.
"""
