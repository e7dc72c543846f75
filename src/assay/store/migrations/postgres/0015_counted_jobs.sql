-- How many jobs a tenant has in each state is kept, as in SQLite. Each connection counts in rows of its own, so that none waits
-- for another's commit; a row may be below zero, their sum is right.
DROP VIEW job_counts;

CREATE TABLE job_tallies (
  tenant TEXT COLLATE "C" NOT NULL,
  state  TEXT COLLATE "C" NOT NULL,
  place  INTEGER          NOT NULL,
  n      BIGINT           NOT NULL,
  PRIMARY KEY (tenant, state, place)
) WITH (fillfactor = 50);

INSERT INTO job_tallies SELECT tenant, state, 0, count(*) FROM jobs GROUP BY tenant, state;

CREATE VIEW job_counts AS SELECT tenant, state, CAST(sum(n) AS BIGINT) AS n FROM job_tallies GROUP BY tenant, state;

CREATE FUNCTION jobs_came_or_went() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_tallies AS known
  SELECT tenant, state, pg_backend_pid() % 256, CASE TG_OP WHEN 'DELETE' THEN -count(*) ELSE count(*) END
  FROM changed GROUP BY tenant, state
  ON CONFLICT (tenant, state, place) DO UPDATE SET n = known.n + excluded.n;
  RETURN NULL;
END $$;

CREATE FUNCTION job_moved() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_tallies AS known
  VALUES (OLD.tenant, OLD.state, pg_backend_pid() % 256, -1), (NEW.tenant, NEW.state, pg_backend_pid() % 256, 1)
  ON CONFLICT (tenant, state, place) DO UPDATE SET n = known.n + excluded.n;
  RETURN NULL;
END $$;

CREATE TRIGGER jobs_created AFTER INSERT ON jobs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jobs_came_or_went();
CREATE TRIGGER jobs_deleted AFTER DELETE ON jobs
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jobs_came_or_went();
CREATE TRIGGER job_moved AFTER UPDATE OF state ON jobs
FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION job_moved();
