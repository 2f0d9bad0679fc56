-- The execution of a task of which only the id is known: its child ids share its millisecond (?2 to ?3).
-- Served by the primary keys of executions (a narrow range) and tasks.
SELECT t.execution_id FROM executions e CROSS JOIN tasks t
WHERE e.execution_id BETWEEN ?2 AND ?3 AND t.execution_id = e.execution_id AND t.task_id = ?1
LIMIT 1
