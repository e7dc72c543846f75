"""Chaos: random faults of every part while users work, and then a look at whether all that was promised was kept.

`plan` draws the faults from a seed, `faults` does them to a `fleet`, `load` plays the users, `journal` writes down what was
acknowledged, `invariants` (with `replay`) looks for what is wrong afterwards, `campaign` puts them together.
"""
