-- Puts a signal at the end of its line; no row changes when its id is taken.
-- Served by the primary key and signals_id.
INSERT INTO signals (execution_id, name, position, signal_id, payload, created_at, consumed)
SELECT $1::uuid, $2::text,
       coalesce((SELECT max(position) FROM signals WHERE execution_id = $1::uuid AND name = $2::text), 0) + 1,
       $3::uuid, $4::bytea, $5::int8, false
ON CONFLICT (execution_id, signal_id) DO NOTHING
