-- A start that was refused leaves its key to others.
-- Served by the primary key.
DELETE FROM start_keys WHERE start_key = $1::text AND execution_id = $2::uuid
