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
