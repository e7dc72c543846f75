-- API keys. A key itself is nowhere: only the SHA-256 of its text. A revoked one keeps its row, so that lists can name it.
CREATE TABLE api_keys (
  prefix       TEXT    NOT NULL PRIMARY KEY,
  digest       BYTEA   NOT NULL CHECK (length(digest) = 32),
  name         TEXT    NOT NULL,
  tenant       TEXT    NOT NULL,
  owner        TEXT    NOT NULL,
  roles        TEXT    NOT NULL,
  addresses    TEXT    NOT NULL,
  created_at   BIGINT  NOT NULL,
  created_by   TEXT    NOT NULL,
  expires_at   BIGINT,
  last_used_at BIGINT,
  revoked_at   BIGINT 
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at);
