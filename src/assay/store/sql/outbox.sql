-- name: put_card
INSERT INTO outbox (kind, target, job_id, key, created_at, due_at) VALUES ('card', :target, :job_id, :job_id, :now, :now)
ON CONFLICT (target, key) DO UPDATE SET fence = outbox.fence + 1, attempts = 0, due_at = excluded.due_at

-- name: put_notice
INSERT INTO outbox (kind, target, job_id, key, content, created_at, due_at)
VALUES (:kind, :target, :job_id, :key, :content, :now,
        CASE WHEN EXISTS (SELECT 1 FROM outbox e WHERE e.target = :target AND e.job_id = :job_id AND e.ended_at IS NULL)
             THEN NULL ELSE CAST(:now AS BIGINT) END)
ON CONFLICT (target, key) DO NOTHING

-- name: next_parcel
SELECT min(due_at) AS at FROM outbox WHERE due_at IS NOT NULL

-- name: due_parcels
-- The first few of each target that has any, so that a target with many cannot hide the others.
WITH RECURSIVE b (target) AS (
  SELECT min(target) FROM outbox WHERE due_at IS NOT NULL
  UNION ALL
  SELECT (SELECT min(o.target) FROM outbox o WHERE o.due_at IS NOT NULL AND o.target > b.target) FROM b
  WHERE b.target IS NOT NULL
)
SELECT o.number, o.kind, o.target, o.job_id, o.key, o.content, o.fence, o.attempts, o.created_at
FROM b CROSS JOIN outbox o ON o.number IN (
  SELECT i.number FROM outbox i WHERE i.target = b.target AND i.due_at <= :now ORDER BY i.due_at, i.number LIMIT :each)
ORDER BY o.due_at, o.number

-- name: take_parcel
UPDATE outbox SET fence = fence + 1, attempts = attempts + 1, due_at = :until
WHERE number = :number AND fence = :fence AND due_at <= :now RETURNING number

-- name: open_parcel
SELECT fence FROM outbox WHERE number = :number AND ended_at IS NULL {for_update}

-- name: postpone_parcel
UPDATE outbox SET due_at = :due_at, status = :status, message = :message WHERE number = :number

-- name: end_parcel
UPDATE outbox SET due_at = NULL, ended_at = :now, outcome = :outcome, status = :status, message = :message
WHERE number = :number

-- name: drop_parcel
DELETE FROM outbox WHERE number = :number

-- name: drop_cards
DELETE FROM outbox WHERE target IN ('mlflow', 'oci') AND key = :job_id

-- name: drop_target
DELETE FROM outbox WHERE target = :target

-- name: next_of_lane
UPDATE outbox SET due_at = :now WHERE due_at IS NULL AND number = (
  SELECT min(e.number) FROM outbox e WHERE e.target = :target AND e.job_id = :job_id AND e.ended_at IS NULL)

-- name: release_parcels
UPDATE outbox SET due_at = :now WHERE due_at > :now

-- name: prune_target
DELETE FROM outbox WHERE target = :target AND outcome = :outcome AND ended_at IS NOT NULL AND number <= (
  SELECT e.number FROM outbox e WHERE e.target = :target AND e.outcome = :outcome AND e.ended_at IS NOT NULL
  ORDER BY e.number DESC LIMIT 1 OFFSET :kept)

-- name: parcels_of_target
SELECT number, kind, target, job_id, key, content, attempts, created_at, due_at, ended_at, outcome, status, message
FROM outbox WHERE target = :target AND number < :before ORDER BY number DESC LIMIT :limit

-- name: parcel_by_key
SELECT number, kind, target, job_id, key, content, attempts, created_at, due_at, ended_at, outcome, status, message
FROM outbox WHERE target = :target AND key = :key

-- name: subscribers
SELECT kind, id, body FROM resources WHERE kind = 'webhook' AND tenant = :tenant
UNION ALL
SELECT kind, id, body FROM resources WHERE kind = 'publisher'

-- name: webhooks_by_id
SELECT kind, id, tenant, owner, created_at, updated_at, version, body FROM resources
WHERE kind = 'webhook' AND id IN (SELECT value FROM json_each(:ids))

-- name: tags_of_job
SELECT tag FROM job_tags WHERE job_id = :id

-- name: lock_job
SELECT id FROM jobs WHERE id = :id {for_update}

-- name: set_job_exports
UPDATE jobs SET exports = :exports, version = version + 1 WHERE id = :id
