-- Sets a counter that is absent.
-- Served by the primary key.
INSERT INTO execution_counters (execution_id, name, whole, value) VALUES ($1::uuid, $2::text, $3::int8, $4::float8)
ON CONFLICT (execution_id, name) DO NOTHING
