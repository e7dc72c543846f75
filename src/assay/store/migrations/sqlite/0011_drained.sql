-- A worker that was draining, and whose process has ended as told. SQLite changes no CHECK, so the table is made anew.
CREATE TABLE workers_anew (
  name          TEXT    NOT NULL PRIMARY KEY,
  incarnation   TEXT    NOT NULL,
  slots         INTEGER NOT NULL,
  engines       BLOB    NOT NULL,
  version       TEXT    NOT NULL,
  registered_at INTEGER NOT NULL,
  seen_at       INTEGER NOT NULL,
  state         TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'draining', 'drained')),
  announced     BLOB    NOT NULL DEFAULT x'7b7d'
) STRICT, WITHOUT ROWID;

INSERT INTO workers_anew (name, incarnation, slots, engines, version, registered_at, seen_at, state, announced)
SELECT name, incarnation, slots, engines, version, registered_at, seen_at, state, announced FROM workers;

DROP TABLE workers;

ALTER TABLE workers_anew RENAME TO workers;
