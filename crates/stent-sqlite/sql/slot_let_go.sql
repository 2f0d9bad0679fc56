-- A slot is its holder's no more.
-- Served by the primary key.
UPDATE limit_slots SET execution_id = NULL, task_id = NULL
WHERE function = ?1 AND number = ?2 AND execution_id = ?3 AND task_id = ?4
