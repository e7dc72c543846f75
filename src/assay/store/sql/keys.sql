-- name: key
SELECT prefix, digest, name, tenant, owner, roles, addresses, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys WHERE prefix = :prefix

-- name: keys
SELECT prefix, digest, name, tenant, owner, roles, addresses, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys ORDER BY created_at DESC, prefix

-- name: keys_of_tenant
SELECT prefix, digest, name, tenant, owner, roles, addresses, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys WHERE tenant = :tenant ORDER BY created_at DESC, prefix

-- name: keys_among
SELECT prefix, digest, name, tenant, owner, roles, addresses, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys WHERE prefix IN (SELECT value FROM json_each(:prefixes))

-- name: any_key
SELECT prefix FROM api_keys LIMIT 1

-- name: insert_key
INSERT INTO api_keys (prefix, digest, name, tenant, owner, roles, addresses, created_at, created_by, expires_at)
VALUES (:prefix, :digest, :name, :tenant, :owner, :roles, :addresses, :now, :created_by, :expires_at)

-- name: revoke_key
UPDATE api_keys SET revoked_at = :now WHERE prefix = :prefix AND revoked_at IS NULL

-- name: note_key_used
UPDATE api_keys SET last_used_at = :at WHERE prefix = :prefix AND (last_used_at IS NULL OR last_used_at < :at)
