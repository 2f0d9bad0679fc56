-- Sets a state value that is absent.
-- Served by the primary key.
INSERT INTO execution_state (execution_id, name, value) VALUES ($1::uuid, $2::text, $3::bytea)
ON CONFLICT (execution_id, name) DO NOTHING
