-- A task waits for a key no more. Its row is locked before, so that nobody hands it the key meanwhile.
-- Served by the primary key.
DELETE FROM idempotency_line WHERE key = $1::text AND execution_id = $2::uuid AND task_id = $3::uuid
