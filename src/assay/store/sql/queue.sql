-- Each lane's first run: one step of the recursion finds the next lane by the index.
-- name: lanes (sqlite)
WITH RECURSIVE first (found) AS (
  SELECT (SELECT id FROM runs INDEXED BY runs_queue WHERE state = 'queued' ORDER BY lane, priority DESC, id LIMIT 1)
  UNION ALL
  SELECT (SELECT n.id FROM runs n INDEXED BY runs_queue WHERE n.state = 'queued' AND n.lane > r.lane
          ORDER BY n.lane, n.priority DESC, n.id LIMIT 1)
  FROM first JOIN runs r ON r.id = found
)
SELECT {lane} FROM first CROSS JOIN runs r WHERE r.id = found

-- name: lanes (postgres)
WITH RECURSIVE first AS (
  (SELECT {lane} FROM runs r WHERE r.state = 'queued' ORDER BY r.lane, r.priority DESC, r.id LIMIT 1)
  UNION ALL
  SELECT following.* FROM first, LATERAL (
    SELECT {lane} FROM runs r WHERE r.state = 'queued' AND r.lane > first.lane
    ORDER BY r.lane, r.priority DESC, r.id LIMIT 1
  ) AS following
)
SELECT * FROM first

-- The first two alone, many lanes at once: PostgreSQL keeps the plan of a statement whose limit it knows.
-- name: first_in_lane
SELECT r.lane, r.id, r.job_id, r.idx, r.attempts, r.fence, r.priority, r.available_at, p.plan, p.context
FROM runs r INDEXED BY runs_queue JOIN plans p ON p.run_id = r.id
WHERE r.state = 'queued' AND r.lane = :lane AND r.available_at <= :now
ORDER BY r.priority DESC, r.id LIMIT 2 {for_update_of_run} {skip_locked}

-- name: ready_in_lane
SELECT r.id, r.job_id, r.idx, r.attempts, r.fence, r.priority, r.available_at, p.plan, p.context
FROM runs r INDEXED BY runs_queue JOIN plans p ON p.run_id = r.id
WHERE r.state = 'queued' AND r.lane = :lane AND r.available_at <= :now
ORDER BY r.priority DESC, r.id LIMIT :limit {for_update_of_run} {skip_locked}

-- name: next_ready
SELECT min((SELECT min(r.available_at) FROM runs r WHERE r.state = 'queued' AND r.engine = value)) AS at
FROM json_each(:engines)

-- name: held
SELECT tenant, owner, provider_id, count(*), coalesce(sum(gpus), 0) FROM runs WHERE worker IS NOT NULL
GROUP BY tenant, owner, provider_id

-- name: shares
SELECT tenant, pass FROM shares WHERE tenant IN (SELECT value FROM json_each(:tenants)) ORDER BY tenant

-- name: put_share
INSERT INTO shares (tenant, pass) VALUES (:tenant, :passed) ON CONFLICT (tenant) DO UPDATE SET pass = excluded.pass

-- name: workers_with_gpus
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced,
  (SELECT CAST(coalesce(sum(r.gpus), 0) AS BIGINT) FROM runs r WHERE r.worker = workers.name) AS held_gpus
FROM workers WHERE state = 'active' AND seen_at > :alive

-- name: lock_queue
{lock_queue}

-- name: waiting_in_lane
SELECT id, job_id, idx, benchmark_id, attempts + 1, priority, queued_at, available_at FROM runs INDEXED BY runs_queue
WHERE state = 'queued' AND lane = :lane ORDER BY priority DESC, id LIMIT :limit

-- name: count_in_lane
SELECT count(*) AS n FROM runs INDEXED BY runs_queue WHERE state = 'queued' AND lane = :lane

-- name: held_runs
SELECT tenant, owner, provider_id, benchmark_id, engine, gpus, coalesce(started_at, leased_at) AS since
FROM runs WHERE worker IS NOT NULL
