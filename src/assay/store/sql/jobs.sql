-- name: insert_job
INSERT INTO jobs (id, kind, tenant, owner, name, state, created_at, updated_at, n_pending, threshold, collection, model,
                  experiment_id, experiment_url, exports)
VALUES (:id, :kind, :tenant, :owner, :name, 'pending', :now, :now, :n_pending, :threshold, :collection, :model,
        :experiment_id, :experiment_url, :exports)
RETURNING {watched} AS watched

-- name: insert_job_spec
INSERT INTO job_specs (job_id, spec) VALUES (:job_id, :spec)

-- name: insert_job_tag
INSERT INTO job_tags (tenant, tag, job_id, all_tags) VALUES (:tenant, :tag, :job_id, :all_tags) ON CONFLICT DO NOTHING

-- name: insert_idempotency_key
INSERT INTO idempotency_keys (tenant, key, digest, job_id) VALUES (:tenant, :key, :digest, :job_id)

-- name: idempotency_key
SELECT job_id, digest FROM idempotency_keys WHERE tenant = :tenant AND key = :key

-- name: jobs_to_change
SELECT id, kind, tenant, owner, name, experiment_id, state, cancelled, created_at, updated_at, version, threshold, collection, model, test, exports,
       n_pending, n_running, n_completed, n_failed, n_cancelled,
       (SELECT provider_id FROM runs r WHERE r.job_id = jobs.id AND r.idx = 0) AS first_provider, {watched} AS watched
FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id {for_update}

-- name: job_version
SELECT tenant, version, state FROM jobs WHERE id = :id

-- name: job_with_runs
-- What was posted is in the first row alone.
SELECT {job}, CASE WHEN r.idx > 0 THEN NULL ELSE s.spec END AS spec, {run}, x.result
FROM jobs j JOIN job_specs s ON s.job_id = j.id LEFT JOIN runs r ON r.job_id = j.id LEFT JOIN results x ON x.run_id = r.id
WHERE j.id = :id ORDER BY r.idx

-- name: update_job
UPDATE jobs SET {recounted}, state = :state WHERE id = :id {returning}

-- name: recount_job
UPDATE jobs SET {recounted} WHERE id = :id {returning}

-- name: touch_job
UPDATE jobs SET updated_at = CASE WHEN updated_at > :now THEN updated_at ELSE :now END, version = version + 1 WHERE id = :id

-- name: delete_job
DELETE FROM jobs WHERE id = :id

-- name: jobs_of_page
SELECT {job}, s.spec
FROM jobs j JOIN job_specs s ON s.job_id = j.id
WHERE j.id IN (SELECT value FROM json_each(:ids))

-- name: jobs_alone
SELECT {job} FROM jobs j WHERE j.id IN (SELECT value FROM json_each(:ids))

-- name: known_jobs
SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))

-- name: runs_of_jobs
SELECT {run}, x.result
FROM runs r LEFT JOIN results x ON x.run_id = r.id
WHERE r.job_id IN (SELECT value FROM json_each(:ids))
ORDER BY r.job_id, r.idx

-- name: count_jobs_in
SELECT CAST(coalesce(sum(n), 0) AS BIGINT) AS n FROM job_counts
WHERE tenant = :tenant AND state IN (SELECT value FROM json_each(:states))

-- name: count_jobs_of_collections
SELECT collection, count(*) AS n FROM jobs WHERE tenant = :tenant AND collection <> '' GROUP BY collection

-- name: count_jobs
SELECT tenant, state, n FROM job_counts WHERE n > 0
