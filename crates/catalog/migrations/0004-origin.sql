-- What the original StepFlow Monitor kept of its executions, steps and artifacts and has no
-- column of its own. Ids of steps and artifacts that were given there go on to be theirs.
ALTER TABLE execution ADD COLUMN origin TEXT;     -- JSON object; null unless imported
ALTER TABLE step ADD COLUMN origin TEXT;          -- the same
ALTER TABLE step ADD COLUMN origin_id TEXT;       -- its id there
ALTER TABLE artifact ADD COLUMN origin TEXT;
ALTER TABLE artifact ADD COLUMN origin_id TEXT;
-- Finding them by those ids. Not unique: a copied record must not keep another from being listed.
CREATE INDEX step_by_origin ON step (origin_id) WHERE origin_id IS NOT NULL;
CREATE INDEX artifact_by_origin ON artifact (origin_id) WHERE origin_id IS NOT NULL;

-- The views for queries that were written for the original: imported rows are as they were there,
-- but for times (UTC, with `Z`) and what was put right.
DROP VIEW steps;
CREATE VIEW steps AS
SELECT
    coalesce(origin_id, execution_id || '-s' || step_index) AS id,
    execution_id,
    name,
    coalesce(origin ->> '$.description', '') AS description,
    coalesce(origin ->> '$.extra.step_index', step_index) AS step_index,
    status,
    exit_code,
    error AS error_message,
    strftime('%Y-%m-%dT%H:%M:%S', coalesce(origin ->> '$.created_us', started_us) / 1000000, 'unixepoch')
        || printf('.%06dZ', coalesce(origin ->> '$.created_us', started_us) % 1000000) AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch')
        || printf('.%06dZ', started_us % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', ended_us / 1000000, 'unixepoch')
        || printf('.%06dZ', ended_us % 1000000) AS completed_at,
    estimated_s AS estimated_duration,
    stop_on_error,
    metadata
FROM step;

DROP VIEW artifacts;
CREATE VIEW artifacts AS
SELECT
    coalesce(origin_id, execution_id || '-a' || artifact_index) AS id,
    execution_id,
    CASE WHEN origin_id IS NULL THEN execution_id || '-s' || step_index
         ELSE origin ->> '$.step_id' END AS step_id,
    coalesce(origin ->> '$.name', base_name) AS name,
    description,
    CASE WHEN sha256 IS NULL OR origin_id IS NOT NULL THEN path
         ELSE 'storage/artifacts/' || execution_id || '/' || sha256 END AS file_path,
    CASE WHEN origin_id IS NOT NULL THEN origin ->> '$.file_name'
         WHEN sha256 IS NULL THEN '' ELSE base_name END AS file_name,
    coalesce(origin ->> '$.file_size', size_bytes) AS file_size,
    CASE
        WHEN origin_id IS NOT NULL THEN origin ->> '$.mime_type'
        WHEN sha256 IS NULL THEN ''
        WHEN path LIKE '%.txt' OR path LIKE '%.log' THEN 'text/plain'
        WHEN path LIKE '%.html' THEN 'text/html'
        WHEN path LIKE '%.xml' THEN 'text/xml'
        WHEN path LIKE '%.json' THEN 'application/json'
        WHEN path LIKE '%.csv' THEN 'text/csv'
        WHEN path LIKE '%.pdf' THEN 'application/pdf'
        WHEN path LIKE '%.zip' THEN 'application/zip'
        WHEN path LIKE '%.tar' THEN 'application/x-tar'
        WHEN path LIKE '%.gz' THEN 'application/gzip'
        WHEN path LIKE '%.png' THEN 'image/png'
        WHEN path LIKE '%.jpg' OR path LIKE '%.jpeg' THEN 'image/jpeg'
        WHEN path LIKE '%.gif' THEN 'image/gif'
        ELSE 'application/octet-stream'
    END AS mime_type,
    coalesce(origin ->> '$.artifact_type', 'other') AS artifact_type,
    strftime('%Y-%m-%dT%H:%M:%S', created_us / 1000000, 'unixepoch')
        || printf('.%06dZ', created_us % 1000000) AS created_at,
    coalesce(origin -> '$.tags', '[]') AS tags,
    coalesce(origin ->> '$.is_public', 1) AS is_public,
    origin ->> '$.retention_days' AS retention_days,
    coalesce(origin -> '$.metadata', '{}') AS metadata
FROM (
    -- rtrim() takes everything after the last slash away: what is left is the directory.
    SELECT *, substr(path, length(rtrim(path, replace(path, '/', ''))) + 1) AS base_name
    FROM artifact
);
