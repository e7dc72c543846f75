"""What runs inside the environment of lm_eval: the engine host, the driver of one run, and the task indexer.

Nothing here imports the rest of Assay, and the worker starts it only as a program (`__main__.py`). It uses
the standard library and what the environment holds: lm_eval 0.4.13 and its dependencies.
"""
