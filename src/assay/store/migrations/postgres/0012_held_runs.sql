-- What lapses is looked for among the runs that workers hold, twice a second and there are few; an index of their leases was
-- written at every lease and every heartbeat. Without it a heartbeat changes no index, where the page has room for the row.
DROP INDEX runs_by_lease;
ALTER TABLE runs SET (fillfactor = 85);
