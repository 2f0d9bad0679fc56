-- Whether a task is called by another, directly or through others: reads all that call it.
-- Served by the primary key.
WITH RECURSIVE above (task_id) AS (
    SELECT parent_id FROM tasks WHERE execution_id = ?1 AND task_id = ?2
    UNION ALL
    SELECT t.parent_id FROM above a JOIN tasks t ON t.execution_id = ?1 AND t.task_id = a.task_id
)
SELECT 1 FROM above WHERE task_id = ?3
