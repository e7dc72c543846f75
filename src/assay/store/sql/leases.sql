-- name: worker
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced,
  (SELECT count(*) FROM runs r WHERE r.worker = workers.name) AS held
FROM workers WHERE name = :name

-- name: workers
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced,
  (SELECT count(*) FROM runs r WHERE r.worker = workers.name) AS held
FROM workers ORDER BY name

-- name: registered_worker
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced FROM workers WHERE name = :name

-- name: workers_to_change
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced FROM workers
WHERE name IN (SELECT value FROM json_each(:names)) ORDER BY name {for_update}

-- name: worker_to_change
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced FROM workers WHERE name = :name
{for_update}

-- name: put_worker
INSERT INTO workers (name, incarnation, slots, engines, version, registered_at, seen_at, state, announced)
VALUES (:name, :incarnation, :slots, :engines, :version, :now, :now, :state, :announced)
ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, slots = excluded.slots, engines = excluded.engines,
  version = excluded.version, registered_at = excluded.registered_at, seen_at = excluded.seen_at, state = excluded.state,
  announced = excluded.announced

-- name: direct_worker
UPDATE workers SET state = CASE WHEN state = 'drained' AND :state = 'draining' THEN state ELSE :state END
WHERE name = :name RETURNING name

-- name: dismiss_worker
UPDATE workers SET incarnation = '', seen_at = :now, state = CASE state WHEN 'draining' THEN 'drained' ELSE state END
WHERE name = :name

-- name: end_drain
UPDATE workers SET state = 'drained' WHERE name = :name AND state = 'draining'

-- name: held_with_tenant
SELECT {run}, x.result, j.tenant FROM runs r JOIN jobs j ON j.id = r.job_id LEFT JOIN results x ON x.run_id = r.id
WHERE r.worker = :worker ORDER BY r.id

-- name: drop_worker
DELETE FROM workers WHERE name = :name

-- name: see_worker
UPDATE workers SET seen_at = :now WHERE name = :name

-- name: held_by_worker
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.worker = :worker ORDER BY r.id {for_update_of_run}

-- name: lapsed_leases
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.worker IS NOT NULL AND r.lease_expires_at <= :now ORDER BY r.lease_expires_at LIMIT 500 {for_update_of_run} {skip_locked}

-- name: lapsed_graces
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.grace_until <= :now ORDER BY r.grace_until LIMIT 500 {for_update_of_run} {skip_locked}

-- name: due
SELECT (SELECT min(lease_expires_at) FROM runs WHERE worker IS NOT NULL) AS lease,
       (SELECT min(grace_until) FROM runs WHERE grace_until IS NOT NULL) AS grace

-- name: take_run
UPDATE runs SET state = 'leased', fence = fence + 1, attempts = attempts + 1, worker = :worker, leased_at = :now,
  started_at = NULL, lease_expires_at = :expires
WHERE {run_as_read} {returning}

-- name: insert_attempt
INSERT INTO attempts (run_id, number, fence, worker, leased_at, started_at, ended_at, outcome, code, message, exit_code)
VALUES (:run_id, :number, :fence, :worker, :leased_at, :started_at, :now, :outcome, :code, :message, :exit_code)

-- name: recent_durations
SELECT r.provider_id, r.benchmark_id, r.finished_at - b.started_at AS took
FROM (SELECT run_id, number, started_at FROM attempts ORDER BY run_id DESC, number DESC LIMIT :limit) b
JOIN runs r ON r.id = b.run_id AND r.attempts = b.number
WHERE r.state = 'completed' AND b.started_at IS NOT NULL ORDER BY r.finished_at

-- name: renew_lease
UPDATE runs SET lease_expires_at = :expires, done = :done, total = :total, report = :report
WHERE id = :id AND fence = :fence AND worker = :worker RETURNING id

-- name: let_go
UPDATE runs SET worker = NULL, lease_expires_at = NULL WHERE id = :id AND fence = :fence

-- name: queue_depth
SELECT 'queued' AS state, count(*) AS n FROM runs WHERE state = 'queued'
UNION ALL
SELECT state, count(*) AS n FROM runs WHERE worker IS NOT NULL AND (state = 'leased' OR state = 'running') GROUP BY state
UNION ALL
SELECT 'running' AS state, count(*) AS n FROM runs WHERE grace_until IS NOT NULL AND worker IS NULL

-- name: begin_grace
UPDATE runs SET state = 'running', status = :status, worker = NULL, lease_expires_at = NULL, grace_until = :until
WHERE id = :id AND fence = :fence
