-- A task waits for a key that another has reserved; it may stand in the line already.
-- Served by the primary key.
INSERT INTO idempotency_line (key, execution_id, task_id) VALUES (?1, ?2, ?3)
ON CONFLICT (key, execution_id, task_id) DO NOTHING
