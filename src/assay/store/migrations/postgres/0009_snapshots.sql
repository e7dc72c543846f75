-- The snapshot of files that a run is given; empty for none.
ALTER TABLE plans ADD COLUMN snapshot TEXT NOT NULL DEFAULT '';
CREATE INDEX plans_by_snapshot ON plans (snapshot) WHERE snapshot <> '';

-- Blobs of snapshots, in parts, for servers that share this database and no disk.
CREATE TABLE blob_parts (
  digest  TEXT   NOT NULL,
  part    BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  data    BYTEA NOT NULL,
  PRIMARY KEY (digest, part)
);

CREATE INDEX blob_parts_by_time ON blob_parts (made_at);
