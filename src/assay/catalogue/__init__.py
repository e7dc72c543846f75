"""The catalogue that is there from the start: providers in EvalHub's shape, and the task files that they run.

Data only. `runtime.assay` in a provider names the engine that runs it; its `include_path` is relative to the
folder of the file.
"""
