-- A slot is a task's from here on.
-- Served by the primary key.
UPDATE limit_slots SET execution_id = ?3, task_id = ?4 WHERE function = ?1 AND number = ?2
