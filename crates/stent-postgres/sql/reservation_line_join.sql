-- A task waits for a key that another has reserved; it may stand in the line already. The key is locked before.
-- Served by the primary key.
INSERT INTO idempotency_line (key, execution_id, task_id) VALUES ($1::text, $2::uuid, $3::uuid)
ON CONFLICT (key, execution_id, task_id) DO NOTHING
