-- The execution of a task of which only the id is known: its child ids share its millisecond ($2 to $3).
-- Served by the primary keys of executions (a narrow range) and tasks. LATERAL with a limit of its own, so that tasks is
-- asked once for each of these executions and never read for itself.
SELECT t.execution_id FROM executions e
CROSS JOIN LATERAL (
    SELECT k.execution_id FROM tasks k WHERE k.execution_id = e.execution_id AND k.task_id = $1::uuid LIMIT 1
) t
WHERE e.execution_id BETWEEN $2::uuid AND $3::uuid
LIMIT 1
