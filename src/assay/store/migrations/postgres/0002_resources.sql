-- Providers and collections that users made. Those of the catalogue's files are not here.
CREATE TABLE resources (
  kind       TEXT    NOT NULL CHECK (kind IN ('provider', 'collection')),
  id         TEXT    NOT NULL,
  tenant     TEXT    NOT NULL,
  owner      TEXT    NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  version    BIGINT NOT NULL DEFAULT 1,
  body       BYTEA   NOT NULL,
  PRIMARY KEY (kind, id)
);

CREATE INDEX resources_by_tenant ON resources (kind, tenant, id);

-- Which collection a job ran, so that its runs can be counted and its jobs be found.
ALTER TABLE jobs ADD COLUMN collection TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_by_collection ON jobs (tenant, collection, id) WHERE collection <> '';

-- The name of the model under evaluation, to find its jobs by.
ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_by_model ON jobs (tenant, model, id);
