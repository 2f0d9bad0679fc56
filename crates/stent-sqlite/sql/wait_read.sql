-- A registered wait.
-- Served by the primary key.
SELECT due, number FROM waits WHERE execution_id = ?1 AND task_id = ?2 AND call_key = ?3
