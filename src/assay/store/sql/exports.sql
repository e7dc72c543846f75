-- name: put_outbox
INSERT INTO outbox (job_id, target, due_at) VALUES (:job_id, :target, :now)
ON CONFLICT (job_id, target) DO UPDATE SET fence = outbox.fence + 1, attempts = 0, due_at = excluded.due_at

-- name: next_export
SELECT min(due_at) AS at FROM outbox

-- name: due_exports
SELECT job_id, target, fence, attempts FROM outbox
WHERE due_at <= :now ORDER BY due_at LIMIT :free {for_update} {skip_locked}

-- name: take_export
UPDATE outbox SET fence = fence + 1, attempts = attempts + 1, due_at = :until WHERE job_id = :job_id AND target = :target

-- name: open_export
SELECT fence FROM outbox WHERE job_id = :job_id AND target = :target {for_update}

-- name: postpone_export
UPDATE outbox SET due_at = :due_at WHERE job_id = :job_id AND target = :target

-- name: drop_export
DELETE FROM outbox WHERE job_id = :job_id AND target = :target

-- name: release_exports
UPDATE outbox SET due_at = :now WHERE due_at > :now

-- name: set_job_exports
UPDATE jobs SET exports = :exports, version = version + 1 WHERE id = :id
