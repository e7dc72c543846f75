-- One outbox for everything that leaves: evaluation cards, and notifications of what became of jobs and runs.
-- `number` is the order in which parcels were put in. Those of one job for one target are a lane and leave in that order:
-- only the first that is open has a `due_at`. A card that has left goes; a notification stays for a while, to be looked at.
ALTER TABLE outbox RENAME TO cards;
DROP INDEX outbox_by_time;

CREATE TABLE outbox (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT    NOT NULL CHECK (kind IN ('card', 'webhook', 'dapr', 'redis')),
  target     TEXT    NOT NULL,
  job_id     TEXT    NOT NULL,
  key        TEXT    NOT NULL,
  content    BLOB    NOT NULL DEFAULT x'',
  created_at INTEGER NOT NULL,
  fence      INTEGER NOT NULL DEFAULT 0,
  attempts   INTEGER NOT NULL DEFAULT 0,
  due_at     INTEGER,
  ended_at   INTEGER,
  outcome    TEXT    NOT NULL DEFAULT '' CHECK (outcome IN ('', 'delivered', 'failed')),
  status     INTEGER NOT NULL DEFAULT 0,
  message    TEXT    NOT NULL DEFAULT '',
  UNIQUE (target, key),
  CHECK (ended_at IS NULL OR due_at IS NULL),
  CHECK ((ended_at IS NULL) = (outcome = ''))
) STRICT;

CREATE INDEX outbox_by_time   ON outbox (due_at)                 WHERE due_at IS NOT NULL;
CREATE INDEX outbox_by_target ON outbox (target, due_at)         WHERE due_at IS NOT NULL;
CREATE INDEX outbox_lanes     ON outbox (target, job_id, number) WHERE ended_at IS NULL;
CREATE INDEX outbox_ended     ON outbox (target, outcome, number) WHERE ended_at IS NOT NULL;
CREATE INDEX outbox_history   ON outbox (target, number);

INSERT INTO outbox (kind, target, job_id, key, created_at, fence, attempts, due_at)
SELECT 'card', target, job_id, job_id, due_at, fence, attempts, due_at FROM cards;
DROP TABLE cards;

-- Tenants' webhooks, and the publishers that the settings name, are resources too.
ALTER TABLE resources RENAME TO earlier_resources;
DROP INDEX resources_by_tenant;

CREATE TABLE resources (
  kind       TEXT    NOT NULL CHECK (kind IN ('provider', 'collection', 'webhook', 'publisher')),
  id         TEXT    NOT NULL,
  tenant     TEXT    NOT NULL,
  owner      TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version    INTEGER NOT NULL DEFAULT 1,
  body       BLOB    NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

INSERT INTO resources SELECT * FROM earlier_resources;
DROP TABLE earlier_resources;
CREATE INDEX resources_by_tenant ON resources (kind, tenant, id);
