-- name: skip_fences
UPDATE runs SET fence = fence + :gap WHERE state IN ('queued', 'leased', 'running')

-- name: skip_export_fences
UPDATE outbox SET fence = fence + :gap

-- name: skip_versions
UPDATE jobs SET version = version + :gap

-- name: skip_events
{skip_events}
