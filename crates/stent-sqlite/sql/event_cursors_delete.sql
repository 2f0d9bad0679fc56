-- Forgets which events a task has had: it never runs again.
-- Served by the primary key.
DELETE FROM event_cursors WHERE execution_id = ?1 AND task_id = ?2
