-- How many executions users see as pending ($1 = false) or running ($1 = true).
-- Reads the executions once and, by the primary key of tasks, the roots of the live ones. No join, so that the server
-- never reads all tasks for it.
SELECT count(*) FROM executions e
WHERE e.state < 2
  AND (e.state = 1
       OR (SELECT t.first_started_at FROM tasks t
           WHERE t.execution_id = e.execution_id AND t.task_id = e.execution_id) IS NOT NULL) = $1::bool
