-- A worker that was draining, and whose process has ended as told.
ALTER TABLE workers DROP CONSTRAINT workers_state_check;
ALTER TABLE workers ADD CONSTRAINT workers_state_check CHECK (state IN ('active', 'paused', 'draining', 'drained'));
