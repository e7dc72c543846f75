"""Measurements, not tests: each program prints tables and, where there is a peer, the ratio to it in the same run.

python -m benchmarks.api             the API against eval-hub-server, both on SQLite files or on PostgreSQL
python -m benchmarks.scale           pages, filters and `assay jobs list` with 100,000 jobs
python -m benchmarks.job_latency     a job from submission to completion, against the lm_eval command
python -m benchmarks.soak            an hour of load: whether the memory of server and worker stays flat
python benchmarks/gateway.py         what the gateway adds to a model call
"""
