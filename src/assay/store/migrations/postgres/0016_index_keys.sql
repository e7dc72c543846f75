-- The beginning of a name is a column of its own, so that jobs are counted in the index alone: what an index holds of an
-- expression PostgreSQL looks up in the row nevertheless.
ALTER TABLE jobs ADD COLUMN name_key TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (left(name, 200)) STORED,
                 ADD COLUMN model_key TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (left(model, 200)) STORED;
DROP INDEX jobs_by_name;
CREATE INDEX jobs_by_name  ON jobs (tenant, name_key, id);
DROP INDEX jobs_by_model;
CREATE INDEX jobs_by_model ON jobs (tenant, model_key, id);
