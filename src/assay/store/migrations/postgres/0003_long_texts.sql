-- An index entry holds 2,704 bytes at most, a name or a model's name anything: the beginning leads to the few that share it.
DROP INDEX jobs_by_name;
CREATE INDEX jobs_by_name  ON jobs (tenant, left(name, 200), id);
DROP INDEX jobs_by_model;
CREATE INDEX jobs_by_model ON jobs (tenant, left(model, 200), id);
