-- What this index told is known from others, and every run entered it and left it. (PostgreSQL's lists in CHECKs cost nothing.)
DROP INDEX runs_open;

-- Each run passes through the indexes of what waits and of what is held, and leaves dead entries there, which whoever looks for
-- the next run has to pass: so they are swept early, and it is known early that few of many runs are held.
ALTER TABLE runs     SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE jobs     SET (autovacuum_vacuum_scale_factor = 0.05);
