-- The spine, as in migrations/sqlite/0001_spine.sql, in PostgreSQL's words.
-- Times are microseconds since 1970 (UTC). Identifiers are UUIDv7 text, so newest first is `ORDER BY id DESC`.

CREATE TABLE jobs (
  id            TEXT    NOT NULL PRIMARY KEY,
  kind          TEXT    NOT NULL,
  tenant        TEXT    NOT NULL,
  owner         TEXT    NOT NULL,
  name          TEXT    NOT NULL,
  experiment_id TEXT    NOT NULL DEFAULT '',
  state         TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'partially_failed')),
  cancelled     BIGINT NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1)),
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  version       BIGINT NOT NULL DEFAULT 1,
  n_pending     BIGINT NOT NULL CHECK (n_pending >= 0),
  n_running     BIGINT NOT NULL DEFAULT 0 CHECK (n_running >= 0),
  n_completed   BIGINT NOT NULL DEFAULT 0 CHECK (n_completed >= 0),
  n_failed      BIGINT NOT NULL DEFAULT 0 CHECK (n_failed >= 0),
  n_cancelled   BIGINT NOT NULL DEFAULT 0 CHECK (n_cancelled >= 0),
  threshold     DOUBLE PRECISION,
  test          BYTEA    NOT NULL DEFAULT ''
);

CREATE INDEX jobs_by_tenant     ON jobs (tenant, id);
CREATE INDEX jobs_by_state      ON jobs (tenant, state, id);
CREATE INDEX jobs_by_name       ON jobs (tenant, name, id);
CREATE INDEX jobs_by_owner      ON jobs (tenant, owner, id);
CREATE INDEX jobs_by_experiment ON jobs (tenant, experiment_id, id) WHERE experiment_id <> '';

-- Immutable and large, so apart from the rows that change.
CREATE TABLE job_specs (
  job_id TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  spec   BYTEA NOT NULL
);

CREATE TABLE job_tags (
  tenant TEXT NOT NULL,
  tag    TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (tenant, tag, job_id)
);

CREATE INDEX job_tags_by_job ON job_tags (job_id);

CREATE TABLE idempotency_keys (
  tenant TEXT    NOT NULL,
  key    TEXT    NOT NULL,
  digest TEXT    NOT NULL,
  job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (tenant, key)
);

CREATE INDEX idempotency_keys_by_job ON idempotency_keys (job_id);

CREATE TABLE runs (
  id               TEXT    NOT NULL PRIMARY KEY,
  job_id           TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx              BIGINT NOT NULL,
  provider_id      TEXT    NOT NULL,
  benchmark_id     TEXT    NOT NULL,
  engine           TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'leased', 'running', 'completed', 'failed', 'cancelled')),
  status           TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  priority         BIGINT NOT NULL,
  queued_at        BIGINT NOT NULL,
  available_at     BIGINT NOT NULL,
  attempts         BIGINT NOT NULL DEFAULT 0,
  max_attempts     BIGINT NOT NULL,
  fence            BIGINT NOT NULL DEFAULT 0,
  worker           TEXT,
  lease_expires_at BIGINT ,
  grace_until      BIGINT ,
  finished_at      BIGINT ,
  verdict          TEXT CHECK (verdict IN ('engine', 'adapter', 'watchdog', 'user')),
  done             BIGINT NOT NULL DEFAULT 0,
  total            BIGINT NOT NULL DEFAULT 0,
  report           BYTEA    NOT NULL DEFAULT '{}',
  UNIQUE (job_id, idx),
  CHECK (attempts <= max_attempts),
  CHECK ((worker IS NULL) = (lease_expires_at IS NULL)),
  CHECK (state <> 'queued' OR (worker IS NULL AND grace_until IS NULL)),
  CHECK (state <> 'leased' OR worker IS NOT NULL),
  CHECK (state <> 'running' OR worker IS NOT NULL OR grace_until IS NOT NULL),
  CHECK ((state IN ('completed', 'failed', 'cancelled')) = (verdict IS NOT NULL)),
  CHECK ((state IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK (status = state OR (state IN ('queued', 'leased') AND status IN ('pending', 'running')))
);

CREATE INDEX runs_queue     ON runs (priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_open      ON runs (state)             WHERE state IN ('queued', 'leased', 'running');
CREATE INDEX runs_by_worker ON runs (worker)            WHERE worker IS NOT NULL;
CREATE INDEX runs_by_lease  ON runs (lease_expires_at)  WHERE lease_expires_at IS NOT NULL;
CREATE INDEX runs_by_grace  ON runs (grace_until)       WHERE grace_until IS NOT NULL;

CREATE TABLE plans (
  run_id  TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  digest  TEXT NOT NULL,
  plan    BYTEA NOT NULL,
  context BYTEA NOT NULL
);

CREATE TABLE results (
  run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  result BYTEA NOT NULL
);

CREATE TABLE attempts (
  run_id     TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  number     BIGINT NOT NULL,
  fence      BIGINT NOT NULL,
  worker     TEXT    NOT NULL,
  leased_at  BIGINT NOT NULL,
  started_at BIGINT ,
  ended_at   BIGINT ,
  outcome    TEXT    NOT NULL DEFAULT '',
  code       TEXT    NOT NULL DEFAULT '',
  message    TEXT    NOT NULL DEFAULT '',
  exit_code  BIGINT ,
  PRIMARY KEY (run_id, number),
  CHECK ((ended_at IS NULL) = (outcome = ''))
);

CREATE TABLE artifacts (
  run_id     TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  name       TEXT    NOT NULL,
  digest     TEXT    NOT NULL,
  size       BIGINT NOT NULL,
  media_type TEXT    NOT NULL,
  PRIMARY KEY (run_id, name)
);

CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE TABLE events (
  seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  run_id TEXT    NOT NULL,
  at     BIGINT NOT NULL,
  type   TEXT    NOT NULL,
  data   BYTEA    NOT NULL
);

CREATE INDEX events_by_job ON events (job_id, seq);

CREATE TABLE workers (
  name          TEXT    NOT NULL PRIMARY KEY,
  incarnation   TEXT    NOT NULL,
  slots         BIGINT NOT NULL,
  engines       BYTEA    NOT NULL,
  version       TEXT    NOT NULL,
  registered_at BIGINT NOT NULL,
  seen_at       BIGINT NOT NULL
);

-- How many jobs a tenant has in each state. Counters would make servers wait for one another, so this counts, in the index.
CREATE VIEW job_counts AS SELECT tenant, state, count(*) AS n FROM jobs GROUP BY tenant, state;
