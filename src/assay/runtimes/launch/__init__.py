"""What stands between a worker and the programs of its runs: processes that start those, and leave nothing of them.

The *spawner* starts once. It forks a *guard* whenever the worker wants one more, because the start of an interpreter
costs many times what a small run does; and it has one thread, little memory and none of a run's pipes, so that what it
forks is cheap and clean. A guard carries out one program after another. What a program starts stays below its guard, and is
killed when the program ends, when the worker says so, or when the worker is gone; what a killed guard leaves falls to the
spawner, which kills it. Guards outlive the spawner, and neither outlives the worker.

The worker starts it as a program (`__main__.py`) and talks to it in `runtimes.guards`. Nothing here imports the rest of
Assay, or anything but the standard library.
"""
