-- A worker process appears; no row changes when its id is taken.
-- Served by the primary key.
INSERT INTO sessions (session_id, instance_id, presence, pid, is_open, beat_at, worker_id, host)
VALUES ($1::uuid, $2::uuid, $3::int8, $4::int8, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::int8, $5::text, $6::text)
ON CONFLICT (session_id) DO NOTHING
