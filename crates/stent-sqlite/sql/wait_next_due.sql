-- When the earliest wait of a task is over.
-- Served by the primary key.
SELECT min(due) FROM waits WHERE execution_id = ?1 AND task_id = ?2
