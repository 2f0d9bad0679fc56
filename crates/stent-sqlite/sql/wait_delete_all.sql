-- Forgets all waits of a task.
-- Served by the primary key.
DELETE FROM waits WHERE execution_id = ?1 AND task_id = ?2
