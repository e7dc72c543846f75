-- name: resource
SELECT kind, id, tenant, owner, created_at, updated_at, version, body FROM resources WHERE kind = :kind AND id = :id

-- name: resource_to_change
SELECT kind, id, tenant, owner, created_at, updated_at, version, body FROM resources
WHERE kind = :kind AND id = :id {for_update}

-- name: resources_of_tenant
SELECT kind, id, tenant, owner, created_at, updated_at, version, body FROM resources
WHERE kind = :kind AND tenant = :tenant ORDER BY id DESC

-- name: insert_resource
INSERT INTO resources (kind, id, tenant, owner, created_at, updated_at, body)
VALUES (:kind, :id, :tenant, :owner, :now, :now, :body)

-- name: update_resource
UPDATE resources SET body = :body, updated_at = :now, version = version + 1 WHERE kind = :kind AND id = :id

-- name: delete_resource
DELETE FROM resources WHERE kind = :kind AND id = :id

-- name: count_resources
SELECT count(*) AS n FROM resources WHERE kind = :kind AND tenant = :tenant

-- name: put_publisher
INSERT INTO resources (kind, id, tenant, owner, created_at, updated_at, body) VALUES ('publisher', :id, '', '', :now, :now, :body)
ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at

-- name: publishers
SELECT id FROM resources WHERE kind = 'publisher'
