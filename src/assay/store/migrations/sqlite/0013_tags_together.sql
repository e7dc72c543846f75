-- Each tag of a job knows the others, so that jobs with several tags are found among those with the rarest alone. Empty: they
-- are too long for that.
ALTER TABLE job_tags ADD COLUMN all_tags TEXT NOT NULL DEFAULT '';
UPDATE job_tags SET all_tags = (SELECT ',' || group_concat(o.tag, ',') || ',' FROM job_tags o WHERE o.job_id = job_tags.job_id);
UPDATE job_tags SET all_tags = '' WHERE length(CAST(all_tags AS BLOB)) > 400;
