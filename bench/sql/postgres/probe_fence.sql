-- The begin of a batch: the committer's row says which one it is. Another generation fails the statement, and with it
-- all that was sent behind. By the primary key of committers; changes no index.
WITH mine AS (
    UPDATE committers SET last_batch = $3::int8 WHERE committer = $1::int4 AND generation = $2::int8 RETURNING 1
)
SELECT 1 / count(*) FROM mine
