-- name: snapshot_digests
SELECT DISTINCT snapshot FROM plans WHERE snapshot <> ''

-- name: put_blob_part
INSERT INTO blob_parts (digest, part, made_at, data) VALUES (:digest, :part, :now, :data)
ON CONFLICT (digest, part) DO UPDATE SET made_at = excluded.made_at

-- name: renew_blob
UPDATE blob_parts SET made_at = :now WHERE digest = :digest RETURNING part

-- name: blob_part
SELECT data FROM blob_parts WHERE digest = :digest AND part = :part

-- name: old_blobs
SELECT digest FROM blob_parts WHERE made_at < :before

-- name: drop_blob
DELETE FROM blob_parts WHERE digest = :digest AND made_at < :before
