-- How many executions users see as pending (?1 = 0) or running (?1 = 1).
-- Reads the executions once and the roots of the live ones.
SELECT count(*) FROM executions e
JOIN tasks t ON t.execution_id = e.execution_id AND t.task_id = e.execution_id
WHERE e.state < 2 AND (e.state = 1 OR t.first_started_at IS NOT NULL) = ?1
