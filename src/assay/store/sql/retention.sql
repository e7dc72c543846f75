-- name: ended_jobs
SELECT j.id FROM jobs j INDEXED BY jobs_by_state
WHERE j.tenant = :tenant AND j.state = :state AND j.id < :newest AND j.id > :after AND j.updated_at < :before
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.target IN ('mlflow', 'oci') AND o.job_id = j.id AND o.ended_at IS NULL)
ORDER BY j.id LIMIT :limit

-- name: ended_jobs_with_events
SELECT j.id FROM jobs j
WHERE j.id < :newest AND j.id > :after AND j.updated_at < :before AND j.state IN (SELECT value FROM json_each(:states))
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.target IN ('mlflow', 'oci') AND o.job_id = j.id AND o.ended_at IS NULL)
  AND EXISTS (SELECT 1 FROM events e WHERE e.job_id = j.id)
ORDER BY j.id LIMIT :limit

-- name: ended_among
SELECT j.id FROM jobs j
WHERE j.id IN (SELECT value FROM json_each(:ids)) AND j.updated_at < :before
  AND j.state IN (SELECT value FROM json_each(:states))
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.target IN ('mlflow', 'oci') AND o.job_id = j.id AND o.ended_at IS NULL)

-- name: count_events
SELECT count(*) AS n FROM events WHERE job_id IN (SELECT value FROM json_each(:ids))

-- name: some_events
SELECT seq FROM events WHERE job_id = :job_id LIMIT :limit

-- name: drop_events
DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE job_id = :job_id ORDER BY seq LIMIT :limit) RETURNING seq

-- name: silent_workers
SELECT name FROM workers WHERE seen_at < :before AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.worker = workers.name)
ORDER BY name

-- name: forget_silent
DELETE FROM workers WHERE seen_at < :before AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.worker = workers.name)
RETURNING name
