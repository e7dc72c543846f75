"""A small language model behind an OpenAI-compatible endpoint, for demos, tests and dry runs.

An n-gram model is fitted at start on the text in `corpus/`: its probabilities are real and repeatable, it
needs no download and no accelerator, and on request it fails in the ways that real endpoints fail. It is a
program of its own: it imports nothing else of Assay, and Assay reaches it only by HTTP.
"""
