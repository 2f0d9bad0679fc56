-- A reservation goes to another task.
-- Served by the primary key.
UPDATE idempotency SET execution_id = $2::uuid, task_id = $3::uuid WHERE key = $1::text
