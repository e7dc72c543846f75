-- Where a job's experiment is seen, and what became of its evaluation card: JSON, by target; empty for a job without exports.
ALTER TABLE jobs ADD COLUMN experiment_url TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN exports BYTEA NOT NULL DEFAULT '';

-- Cards on their way. A row is there from the moment its job has ended until the card has arrived or has been given up.
CREATE TABLE outbox (
  job_id   TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  target   TEXT    NOT NULL CHECK (target IN ('mlflow', 'oci')),
  fence    BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  due_at   BIGINT NOT NULL,
  PRIMARY KEY (job_id, target)
);

CREATE INDEX outbox_by_time ON outbox (due_at);
