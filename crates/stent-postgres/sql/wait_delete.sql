-- Forgets a wait.
-- Served by the primary key.
DELETE FROM waits WHERE execution_id = $1::uuid AND task_id = $2::uuid AND call_key = $3::text
RETURNING kind, name
