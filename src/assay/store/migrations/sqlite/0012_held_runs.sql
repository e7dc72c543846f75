-- What lapses is looked for among the runs that workers hold, twice a second and there are few; an index of their leases was
-- written at every lease and every heartbeat.
DROP INDEX runs_by_lease;
