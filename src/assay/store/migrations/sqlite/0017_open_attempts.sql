-- The attempt that goes on is part of its run's row, and gets a row of its own once it has ended: what a worker takes, starts
-- and ends is a statement less each time.
-- Results are kept by the run's id itself, without an index beside them.
ALTER TABLE runs ADD COLUMN leased_at INTEGER;
ALTER TABLE runs ADD COLUMN started_at INTEGER;
UPDATE runs SET (leased_at, started_at) =
  (SELECT a.leased_at, a.started_at FROM attempts a WHERE a.run_id = runs.id AND a.number = runs.attempts) WHERE worker IS NOT NULL;
DELETE FROM attempts WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.worker IS NOT NULL);
UPDATE attempts SET ended_at = coalesce(started_at, leased_at), outcome = 'lost' WHERE ended_at IS NULL;
CREATE TABLE results_by_run (
  run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  result BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO results_by_run SELECT run_id, result FROM results ORDER BY run_id;
DROP TABLE results;
ALTER TABLE results_by_run RENAME TO results;
