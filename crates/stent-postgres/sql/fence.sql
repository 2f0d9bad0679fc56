-- The begin of every batch: the committer's row says that its turn still stands and which batch this is. A row that was
-- bumped meanwhile, by whoever takes tasks away, fails the statement and with it the batch. Answers the server's clock.
-- Served by the primary key; changes no index, so it stays within its page.
WITH mine AS (
    UPDATE committers SET last_batch = $4::int8, seen_at = $5::int8
    WHERE instance_id = $1::uuid AND lane = $2::int2 AND generation = $3::int8
    RETURNING 1
)
SELECT 1 / count(*)::int4, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 FROM mine
