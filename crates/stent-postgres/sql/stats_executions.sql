-- How many executions are in each state, as users see it: a stored 0 runs once its root was claimed.
-- Reads the executions once and, by the primary key of tasks, the roots of the live ones. No join, so that the server
-- never reads all tasks for it.
SELECT seen, count(*) FROM (
    SELECT CASE WHEN e.state = 0 AND (SELECT t.first_started_at FROM tasks t WHERE t.execution_id = e.execution_id
                                      AND t.task_id = e.execution_id) IS NOT NULL THEN 1::int2 ELSE e.state END AS seen
    FROM executions e
) s
GROUP BY seen
