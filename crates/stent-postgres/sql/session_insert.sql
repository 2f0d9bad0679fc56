-- A worker process appears; no row changes when its id is taken. All committers of the process ($7 of them) have their
-- rows from here on, those too that have not been at work yet: a bump that found none could not fence them off.
-- Served by the primary keys.
WITH fences AS (
    INSERT INTO committers (instance_id, lane, generation, last_batch, seen_at)
    SELECT $2::uuid, lane, 0, 0, 0 FROM generate_series(0, $7::int4 - 1) AS lane
    ON CONFLICT (instance_id, lane) DO NOTHING
)
INSERT INTO sessions (session_id, instance_id, presence, pid, is_open, beat_at, worker_id, host)
VALUES ($1::uuid, $2::uuid, $3::int8, $4::int8, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::int8, $5::text, $6::text)
ON CONFLICT (session_id) DO NOTHING
