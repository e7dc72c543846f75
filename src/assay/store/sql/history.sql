-- name: insert_event
INSERT INTO events (job_id, run_id, at, type, data) {event}

-- name: events_of_job
SELECT seq, job_id, run_id, at, type, data FROM events WHERE job_id = :job_id AND seq > :after ORDER BY seq LIMIT :limit

-- name: events_between
SELECT e.seq, e.job_id, e.run_id, e.at, e.type, e.data, j.tenant FROM events e CROSS JOIN jobs j ON j.id = e.job_id
WHERE e.seq > :after AND e.seq <= :until ORDER BY e.seq

-- name: last_event
{last_event}

-- name: progress_of_job
SELECT id, idx, done, total, report FROM runs WHERE job_id = :job_id AND status = 'running' ORDER BY idx
