# The README's two commands: `make demo` runs a real evaluation, `make test` runs the tests.
# Both install what they need on a machine that has Python 3.11 or later, pip, git, gcc and make.

PYTHON ?= python3
export UV_LINK_MODE ?= copy

.PHONY: demo test check lint types layers fuzz chaos bench postgresql redis nginx pgbouncer clean

demo: .venv/ready
	.venv/bin/assay demo

test: .venv/ready postgresql redis nginx pgbouncer
	.venv/bin/assay engines install lm_eval
	.venv/bin/python -m pytest -n 2 --dist loadgroup

check: lint types layers test

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/ready
	.venv/bin/mypy

layers: .venv/ready
	.venv/bin/lint-imports

# 25,000 requests made from the API's description, on either store: no 5xx, no answer that is not described.
fuzz: .venv/ready postgresql
	.venv/bin/python -m tests.server.fuzz --cases 20000
	.venv/bin/python -m tests.server.fuzz --cases 5000 --postgresql

# 500 random faults on each store while users work; a failure names its seed. CHAOS="--seed 7 --faults 50" for others.
chaos: .venv/ready postgresql redis
	.venv/bin/assay engines install lm_eval
	.venv/bin/python -m tests.chaos $(CHAOS)

# Figures, not tests: see docs/performance.md.
bench: .venv/ready postgresql redis
	@if command -v uv >/dev/null 2>&1; then uv sync --quiet --frozen --group peer; else $(PYTHON) -m uv sync --quiet --frozen --group peer; fi
	.venv/bin/python -m benchmarks.job_latency
	.venv/bin/python -m benchmarks.api
	.venv/bin/python -m benchmarks.queue

# The tests start private PostgreSQL servers of their own; this only sees that the programs are there.
postgresql:
	@command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	  else \
	    echo "The tests need PostgreSQL 13 or later. Install it (Debian: sudo apt-get install postgresql) and try again." >&2; exit 1; \
	  fi; }

# Of these the tests start private servers too.
redis: PROGRAM = redis-server
redis: PACKAGE = redis-server
nginx: PROGRAM = nginx
nginx: PACKAGE = nginx
pgbouncer: PROGRAM = pgbouncer
pgbouncer: PACKAGE = pgbouncer
redis nginx pgbouncer:
	@PATH="$$PATH:/usr/sbin"; command -v $(PROGRAM) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGE); \
	  else \
	    echo "The tests need $(PROGRAM). Install it (Debian: sudo apt-get install $(PACKAGE)) and try again." >&2; exit 1; \
	  fi; }

.venv/ready: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || $(PYTHON) -m pip install --quiet uv || $(PYTHON) -m pip install --quiet --break-system-packages uv
	@if command -v uv >/dev/null 2>&1; then uv sync --quiet --frozen; else $(PYTHON) -m uv sync --quiet --frozen; fi
	@touch .venv/ready

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis
