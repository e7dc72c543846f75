-- The same tables with rules that cost less: for each row that it writes SQLite makes a small table of every list of more than
-- two words in an IN of a CHECK or of a partial index. `runs_open` was such an index; what it told is known from others.
-- The names of other tables' references do not change, and foreign keys are looked at when all is in its place.

CREATE TABLE new_jobs (
  id             TEXT    NOT NULL PRIMARY KEY,
  kind           TEXT    NOT NULL,
  tenant         TEXT    NOT NULL,
  owner          TEXT    NOT NULL,
  name           TEXT    NOT NULL,
  experiment_id  TEXT    NOT NULL DEFAULT '',
  state          TEXT    NOT NULL CHECK (state = 'pending' OR state = 'running' OR state = 'completed' OR state = 'failed'
                                         OR state = 'cancelled' OR state = 'partially_failed'),
  cancelled      INTEGER NOT NULL DEFAULT 0 CHECK (cancelled = 0 OR cancelled = 1),
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  version        INTEGER NOT NULL DEFAULT 1,
  n_pending      INTEGER NOT NULL CHECK (n_pending >= 0),
  n_running      INTEGER NOT NULL DEFAULT 0 CHECK (n_running >= 0),
  n_completed    INTEGER NOT NULL DEFAULT 0 CHECK (n_completed >= 0),
  n_failed       INTEGER NOT NULL DEFAULT 0 CHECK (n_failed >= 0),
  n_cancelled    INTEGER NOT NULL DEFAULT 0 CHECK (n_cancelled >= 0),
  threshold      REAL,
  test           BLOB    NOT NULL DEFAULT x'',
  collection     TEXT    NOT NULL DEFAULT '',
  model          TEXT    NOT NULL DEFAULT '',
  experiment_url TEXT    NOT NULL DEFAULT '',
  exports        BLOB    NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;

INSERT INTO new_jobs (id, kind, tenant, owner, name, experiment_id, state, cancelled, created_at, updated_at, version, n_pending,
  n_running, n_completed, n_failed, n_cancelled, threshold, test, collection, model, experiment_url, exports)
SELECT id, kind, tenant, owner, name, experiment_id, state, cancelled, created_at, updated_at, version, n_pending,
  n_running, n_completed, n_failed, n_cancelled, threshold, test, collection, model, experiment_url, exports FROM jobs;
DROP TRIGGER jobs_counted_out;
DROP TABLE jobs;
ALTER TABLE new_jobs RENAME TO jobs;

CREATE INDEX jobs_by_tenant     ON jobs (tenant, id);
CREATE INDEX jobs_by_state      ON jobs (tenant, state, id);
CREATE INDEX jobs_by_name       ON jobs (tenant, name, id);
CREATE INDEX jobs_by_owner      ON jobs (tenant, owner, id);
CREATE INDEX jobs_by_model      ON jobs (tenant, model, id);
CREATE INDEX jobs_by_experiment ON jobs (tenant, experiment_id, id) WHERE experiment_id <> '';
CREATE INDEX jobs_by_collection ON jobs (tenant, collection, id)    WHERE collection <> '';

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

CREATE TABLE new_runs (
  id               TEXT    NOT NULL PRIMARY KEY,
  job_id           TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx              INTEGER NOT NULL,
  provider_id      TEXT    NOT NULL,
  benchmark_id     TEXT    NOT NULL,
  engine           TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state = 'queued' OR state = 'leased' OR state = 'running' OR state = 'completed'
                                           OR state = 'failed' OR state = 'cancelled'),
  status           TEXT    NOT NULL CHECK (status = 'pending' OR status = 'running' OR status = 'completed'
                                           OR status = 'failed' OR status = 'cancelled'),
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
  verdict          TEXT CHECK (verdict = 'engine' OR verdict = 'adapter' OR verdict = 'watchdog' OR verdict = 'user'),
  done             INTEGER NOT NULL DEFAULT 0,
  total            INTEGER NOT NULL DEFAULT 0,
  report           BLOB    NOT NULL DEFAULT x'7b7d',
  tenant           TEXT    NOT NULL DEFAULT '',
  owner            TEXT    NOT NULL DEFAULT '',
  gpus             INTEGER NOT NULL DEFAULT 0 CHECK (gpus >= 0),
  labels           TEXT    NOT NULL DEFAULT '',
  -- Runs of one lane are alike to the scheduler: same tenant, owner, provider, engine, GPUs and labels.
  lane             TEXT    NOT NULL DEFAULT '',
  UNIQUE (job_id, idx),
  CHECK (attempts <= max_attempts),
  CHECK ((worker IS NULL) = (lease_expires_at IS NULL)),
  CHECK (state <> 'queued' OR (worker IS NULL AND grace_until IS NULL)),
  CHECK (state <> 'leased' OR worker IS NOT NULL),
  CHECK (state <> 'running' OR worker IS NOT NULL OR grace_until IS NOT NULL),
  CHECK ((verdict IS NULL) = (finished_at IS NULL)),
  CHECK ((state = 'completed' OR state = 'failed' OR state = 'cancelled') = (verdict IS NOT NULL)),
  CHECK (status = state OR ((state = 'queued' OR state = 'leased') AND (status = 'pending' OR status = 'running')))
) STRICT, WITHOUT ROWID;

INSERT INTO new_runs (id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at, available_at, attempts,
  max_attempts, fence, worker, lease_expires_at, grace_until, finished_at, verdict, done, total, report, tenant, owner, gpus, labels,
  lane)
SELECT id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at, available_at, attempts,
  max_attempts, fence, worker, lease_expires_at, grace_until, finished_at, verdict, done, total, report, tenant, owner, gpus, labels,
  lane FROM runs;
DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;

CREATE INDEX runs_queue     ON runs (lane, priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_ready     ON runs (engine, available_at)    WHERE state = 'queued';
CREATE INDEX runs_by_worker ON runs (worker)                  WHERE worker IS NOT NULL;
CREATE INDEX runs_by_lease  ON runs (lease_expires_at)        WHERE lease_expires_at IS NOT NULL;
CREATE INDEX runs_by_grace  ON runs (grace_until)             WHERE grace_until IS NOT NULL;
