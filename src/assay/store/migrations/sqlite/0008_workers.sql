-- What a worker may do, and what else it has announced: JSON with protocol, cpus, memory, gpus and labels.
ALTER TABLE workers ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'draining'));
ALTER TABLE workers ADD COLUMN announced BLOB NOT NULL DEFAULT x'7b7d';
