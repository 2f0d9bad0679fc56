-- How many executions are in each state, as users see it: a stored 0 runs once its root was claimed.
-- Reads the executions once and the roots of the live ones.
SELECT iif(e.state = 0 AND t.first_started_at IS NOT NULL, 1, e.state) AS shown, count(*) FROM executions e
LEFT JOIN tasks t ON e.state = 0 AND t.execution_id = e.execution_id AND t.task_id = e.execution_id
GROUP BY shown
