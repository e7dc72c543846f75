-- Fair share: whose a queued run is, what it asks of a worker, and how far each tenant is.

ALTER TABLE runs ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN owner  TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN gpus   INTEGER NOT NULL DEFAULT 0 CHECK (gpus >= 0);
ALTER TABLE runs ADD COLUMN labels TEXT NOT NULL DEFAULT '';
-- Runs of one lane are alike to the scheduler: same tenant, owner, provider, engine, GPUs and labels.
ALTER TABLE runs ADD COLUMN lane   TEXT NOT NULL DEFAULT '';

UPDATE runs SET tenant = j.tenant, owner = j.owner FROM jobs j WHERE j.id = runs.job_id;
UPDATE runs SET lane = tenant || char(31) || owner || char(31) || provider_id || char(31) || engine WHERE state IN ('queued', 'leased', 'running');

DROP INDEX runs_queue;
CREATE INDEX runs_queue ON runs (lane, priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_ready ON runs (engine, available_at)    WHERE state = 'queued';

-- How far each tenant is in the round, for when several hold equally much.
CREATE TABLE shares (
  tenant TEXT NOT NULL PRIMARY KEY,
  pass   REAL NOT NULL
) STRICT, WITHOUT ROWID;
