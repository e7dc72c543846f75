-- The attempt that goes on is part of its run's row, and gets a row of its own once it has ended: what a worker takes, starts
-- and ends is a statement less each time.
ALTER TABLE runs ADD COLUMN leased_at BIGINT, ADD COLUMN started_at BIGINT;
UPDATE runs SET (leased_at, started_at) =
  (SELECT a.leased_at, a.started_at FROM attempts a WHERE a.run_id = runs.id AND a.number = runs.attempts) WHERE worker IS NOT NULL;
DELETE FROM attempts WHERE ended_at IS NULL AND EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.worker IS NOT NULL);
UPDATE attempts SET ended_at = coalesce(started_at, leased_at), outcome = 'lost' WHERE ended_at IS NULL;
ALTER TABLE runs ADD CHECK (worker IS NULL OR leased_at IS NOT NULL);
ALTER TABLE attempts ALTER ended_at SET NOT NULL;
