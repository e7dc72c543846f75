-- The spine: jobs, their runs, attempts, events, workers.
-- Times are microseconds since 1970 (UTC). Identifiers are UUIDv7 text, so newest first is `ORDER BY id DESC`.

CREATE TABLE jobs (
  id            TEXT    NOT NULL PRIMARY KEY,
  kind          TEXT    NOT NULL,
  tenant        TEXT    NOT NULL,
  owner         TEXT    NOT NULL,
  name          TEXT    NOT NULL,
  experiment_id TEXT    NOT NULL DEFAULT '',
  state         TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'partially_failed')),
  cancelled     INTEGER NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1)),
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  version       INTEGER NOT NULL DEFAULT 1,
  n_pending     INTEGER NOT NULL CHECK (n_pending >= 0),
  n_running     INTEGER NOT NULL DEFAULT 0 CHECK (n_running >= 0),
  n_completed   INTEGER NOT NULL DEFAULT 0 CHECK (n_completed >= 0),
  n_failed      INTEGER NOT NULL DEFAULT 0 CHECK (n_failed >= 0),
  n_cancelled   INTEGER NOT NULL DEFAULT 0 CHECK (n_cancelled >= 0),
  threshold     REAL,
  test          BLOB    NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_by_tenant     ON jobs (tenant, id);
CREATE INDEX jobs_by_state      ON jobs (tenant, state, id);
CREATE INDEX jobs_by_name       ON jobs (tenant, name, id);
CREATE INDEX jobs_by_owner      ON jobs (tenant, owner, id);
CREATE INDEX jobs_by_experiment ON jobs (tenant, experiment_id, id) WHERE experiment_id <> '';

-- Immutable and large, so apart from the rows that change.
CREATE TABLE job_specs (
  job_id TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  spec   BLOB NOT NULL
) STRICT;

CREATE TABLE job_tags (
  tenant TEXT NOT NULL,
  tag    TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (tenant, tag, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_tags_by_job ON job_tags (job_id);

CREATE TABLE idempotency_keys (
  tenant TEXT    NOT NULL,
  key    TEXT    NOT NULL,
  digest TEXT    NOT NULL,
  job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_job ON idempotency_keys (job_id);

CREATE TABLE runs (
  id               TEXT    NOT NULL PRIMARY KEY,
  job_id           TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx              INTEGER NOT NULL,
  provider_id      TEXT    NOT NULL,
  benchmark_id     TEXT    NOT NULL,
  engine           TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'leased', 'running', 'completed', 'failed', 'cancelled')),
  status           TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  priority         INTEGER NOT NULL,
  queued_at        INTEGER NOT NULL,
  available_at     INTEGER NOT NULL,
  attempts         INTEGER NOT NULL DEFAULT 0,
  max_attempts     INTEGER NOT NULL,
  fence            INTEGER NOT NULL DEFAULT 0,
  worker           TEXT,
  lease_expires_at INTEGER,
  grace_until      INTEGER,
  finished_at      INTEGER,
  verdict          TEXT CHECK (verdict IN ('engine', 'adapter', 'watchdog', 'user')),
  done             INTEGER NOT NULL DEFAULT 0,
  total            INTEGER NOT NULL DEFAULT 0,
  report           BLOB    NOT NULL DEFAULT x'7b7d',
  UNIQUE (job_id, idx),
  CHECK (attempts <= max_attempts),
  CHECK ((worker IS NULL) = (lease_expires_at IS NULL)),
  CHECK (state <> 'queued' OR (worker IS NULL AND grace_until IS NULL)),
  CHECK (state <> 'leased' OR worker IS NOT NULL),
  CHECK (state <> 'running' OR worker IS NOT NULL OR grace_until IS NOT NULL),
  CHECK ((state IN ('completed', 'failed', 'cancelled')) = (verdict IS NOT NULL)),
  CHECK ((state IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK (status = state OR (state IN ('queued', 'leased') AND status IN ('pending', 'running')))
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_queue     ON runs (priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_open      ON runs (state)             WHERE state IN ('queued', 'leased', 'running');
CREATE INDEX runs_by_worker ON runs (worker)            WHERE worker IS NOT NULL;
CREATE INDEX runs_by_lease  ON runs (lease_expires_at)  WHERE lease_expires_at IS NOT NULL;
CREATE INDEX runs_by_grace  ON runs (grace_until)       WHERE grace_until IS NOT NULL;

CREATE TABLE plans (
  run_id  TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  digest  TEXT NOT NULL,
  plan    BLOB NOT NULL,
  context BLOB NOT NULL
) STRICT;

CREATE TABLE results (
  run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  result BLOB NOT NULL
) STRICT;

CREATE TABLE attempts (
  run_id     TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  number     INTEGER NOT NULL,
  fence      INTEGER NOT NULL,
  worker     TEXT    NOT NULL,
  leased_at  INTEGER NOT NULL,
  started_at INTEGER,
  ended_at   INTEGER,
  outcome    TEXT    NOT NULL DEFAULT '',
  code       TEXT    NOT NULL DEFAULT '',
  message    TEXT    NOT NULL DEFAULT '',
  exit_code  INTEGER,
  PRIMARY KEY (run_id, number),
  CHECK ((ended_at IS NULL) = (outcome = ''))
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  run_id     TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  digest     TEXT    NOT NULL,
  size       INTEGER NOT NULL,
  media_type TEXT    NOT NULL,
  PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE TABLE events (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  run_id TEXT    NOT NULL,
  at     INTEGER NOT NULL,
  type   TEXT    NOT NULL,
  data   BLOB    NOT NULL
) STRICT;

CREATE INDEX events_by_job ON events (job_id, seq);

CREATE TABLE workers (
  name          TEXT    NOT NULL PRIMARY KEY,
  incarnation   TEXT    NOT NULL,
  slots         INTEGER NOT NULL,
  engines       BLOB    NOT NULL,
  version       TEXT    NOT NULL,
  registered_at INTEGER NOT NULL,
  seen_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many jobs a tenant has in each state, so that a page's total needs no scan.
CREATE TABLE job_counts (
  tenant TEXT    NOT NULL,
  state  TEXT    NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (tenant, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
  INSERT INTO job_counts (tenant, state, n) VALUES (new.tenant, new.state, 1)
  ON CONFLICT (tenant, state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant = old.tenant AND state = old.state;
END;

CREATE TRIGGER jobs_counted_over AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant = old.tenant AND state = old.state;
  INSERT INTO job_counts (tenant, state, n) VALUES (new.tenant, new.state, 1)
  ON CONFLICT (tenant, state) DO UPDATE SET n = n + 1;
END;
