-- Each tag of a job knows the others, so that jobs with several tags are found among those with the rarest alone, and in its
-- index. Empty: they are too long for that.
ALTER TABLE job_tags ADD COLUMN all_tags TEXT NOT NULL DEFAULT '';
UPDATE job_tags SET all_tags = known.all_tags
FROM (SELECT job_id, ',' || string_agg(tag, ',') || ',' AS all_tags FROM job_tags GROUP BY job_id) known
WHERE known.job_id = job_tags.job_id AND octet_length(known.all_tags) <= 400;
ALTER TABLE job_tags DROP CONSTRAINT job_tags_pkey;
ALTER TABLE job_tags ADD PRIMARY KEY (tenant, tag, job_id) INCLUDE (all_tags);
