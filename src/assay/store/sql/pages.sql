-- Fragments from which a page of jobs is composed (pages.py): one branch for each value of the filter that leads, each in the
-- order of an index, merged newest first.

-- name: page
SELECT p.id, j.version FROM (:ids) p CROSS JOIN jobs j ON j.id = p.id ORDER BY p.id DESC

-- name: branch_tenant
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_tenant WHERE j.tenant = :tenant

-- name: branch_state
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_state WHERE j.tenant = :tenant AND j.state = :lead

-- name: branch_name
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_name WHERE j.tenant = :tenant AND j.name = :lead

-- name: branch_owner
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_owner WHERE j.tenant = :tenant AND j.owner = :lead

-- name: branch_experiment
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_experiment
WHERE j.tenant = :tenant AND j.experiment_id = :lead AND j.experiment_id <> ''

-- name: branch_model
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_model WHERE j.tenant = :tenant AND j.model = :lead

-- name: branch_collection
SELECT j.id AS id FROM jobs j INDEXED BY jobs_by_collection
WHERE j.tenant = :tenant AND j.collection = :lead AND j.collection <> ''

-- name: branch_tag
SELECT t.job_id AS id FROM job_tags t CROSS JOIN jobs j ON j.id = t.job_id WHERE t.tenant = :tenant AND t.tag = :lead

-- name: branch_tag_only
SELECT t.job_id AS id FROM job_tags t WHERE t.tenant = :tenant AND t.tag = :lead

-- name: look_state
CROSS JOIN jobs k INDEXED BY jobs_by_state ON k.tenant = :tenant AND k.id = {id}

-- name: look_owner
CROSS JOIN jobs k INDEXED BY jobs_by_owner ON k.tenant = :tenant AND k.id = {id}

-- name: only_state
{others}.state IN (:values)

-- name: only_name
j.name IN (:values)

-- name: only_owner
{others}.owner IN (:values)

-- name: only_experiment
j.experiment_id IN (:values)

-- name: only_model
j.model IN (:values)

-- name: only_collection
j.collection IN (:values)

-- name: only_since
{id} >= :since

-- name: only_before
{id} < :before

-- name: only_tag
EXISTS (SELECT 1 FROM job_tags o WHERE o.tenant = :tenant AND o.job_id = {id} AND o.tag IN (:values))

-- name: only_other_tag
CASE t.all_tags WHEN '' THEN {only_tag} ELSE {found} END

-- name: size_of_tag
SELECT count(*) AS n FROM (SELECT 1 FROM job_tags WHERE tenant = :tenant AND tag = :tag LIMIT :most) b
