-- name: shared_time
{shared_time}

-- name: put_back_leases
UPDATE runs SET lease_expires_at = :latest WHERE worker IS NOT NULL AND lease_expires_at > :latest RETURNING id

-- name: put_back_graces
UPDATE runs SET grace_until = :latest WHERE grace_until > :latest RETURNING id

-- name: put_back_waits
WITH RECURSIVE queued (engine) AS (
  SELECT (SELECT min(engine) FROM runs WHERE state = 'queued')
  UNION ALL
  SELECT (SELECT min(r.engine) FROM runs r WHERE r.state = 'queued' AND r.engine > queued.engine)
  FROM queued WHERE queued.engine IS NOT NULL
)
UPDATE runs SET available_at = :latest
WHERE state = 'queued' AND available_at > :latest AND engine IN (SELECT engine FROM queued) RETURNING id

-- name: put_back_parcels
UPDATE outbox SET due_at = :latest WHERE due_at > :latest RETURNING job_id
