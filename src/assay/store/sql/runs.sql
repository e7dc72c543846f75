-- name: insert_run
INSERT INTO runs (id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at, available_at, max_attempts,
  tenant, owner, gpus, labels, lane)
VALUES (:id, :job_id, :idx, :provider_id, :benchmark_id, :engine, 'queued', 'pending', :priority, :now, :now, :max_attempts,
  :tenant, :owner, :gpus, :labels, :lane)

-- name: insert_plan
INSERT INTO plans (run_id, digest, plan, context, snapshot) VALUES (:run_id, :digest, :plan, :context, :snapshot)

-- name: runs_to_change
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.id IN (SELECT value FROM json_each(:ids)) ORDER BY r.id {for_update_of_run}

-- name: runs_to_end
SELECT {run}, x.result, p.context FROM runs r JOIN plans p ON p.run_id = r.id LEFT JOIN results x ON x.run_id = r.id
WHERE r.id IN (SELECT value FROM json_each(:ids)) ORDER BY r.id {for_update_of_run}

-- name: run
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id WHERE r.id = :id

-- name: run_at
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.job_id = :job_id AND r.idx = :idx {for_update_of_run}

-- name: run_to_report
SELECT {run}, x.result, j.tenant, j.state AS job_state, p.context FROM jobs j JOIN runs r ON r.job_id = j.id
JOIN plans p ON p.run_id = r.id LEFT JOIN results x ON x.run_id = r.id
WHERE j.id = :job_id AND r.idx = :idx {for_update_of_run}

-- name: runs_to_cancel
SELECT {run}, x.result FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.job_id = :job_id ORDER BY r.idx {for_update_of_run}

-- name: plan
SELECT plan, context, digest FROM plans WHERE run_id = :run_id

-- name: update_run
UPDATE runs SET state = :to, status = :status, worker = :worker, started_at = :started_at,
  lease_expires_at = :lease_expires_at, grace_until = :grace_until, finished_at = :finished_at, verdict = :verdict, report = :report,
  queued_at = :queued_at, available_at = :available_at, done = :done, total = :total
WHERE {run_as_read} {returning}

-- name: revise_run
UPDATE runs SET status = :status, report = :report WHERE {run_as_read} {returning}

-- name: extend_grace
UPDATE runs SET grace_until = :until WHERE id = :id AND grace_until IS NOT NULL

-- name: put_result
INSERT INTO results (run_id, result) VALUES (:run_id, :result)
ON CONFLICT (run_id) DO UPDATE SET result = excluded.result

-- name: drop_result
DELETE FROM results WHERE run_id = :run_id

-- name: judged_runs
SELECT r.job_id, r.idx, p.context, x.result FROM runs r
JOIN plans p ON p.run_id = r.id JOIN results x ON x.run_id = r.id
WHERE r.job_id = :job_id ORDER BY r.idx

-- name: put_artifact
INSERT INTO artifacts (run_id, name, digest, size, media_type) VALUES (:run_id, :name, :digest, :size, :media_type)
ON CONFLICT (run_id, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, media_type = excluded.media_type

-- name: artifact
SELECT name, digest, size, media_type FROM artifacts WHERE run_id = :run_id AND name = :name

-- name: artifacts_of_run
SELECT name, digest, size, media_type FROM artifacts WHERE run_id = :run_id ORDER BY name

-- name: artifact_digests
SELECT DISTINCT digest FROM artifacts

-- name: attempts_of_run
-- One that still goes on is in the row of its run.
SELECT run_id, number, fence, worker, leased_at, started_at, ended_at, outcome, code, message, exit_code
FROM attempts WHERE run_id = :run_id
UNION ALL
SELECT id, attempts, fence, worker, leased_at, started_at, NULL, '', '', '', NULL
FROM runs WHERE id = :run_id AND worker IS NOT NULL
ORDER BY number
