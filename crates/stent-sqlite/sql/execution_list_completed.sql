-- Executions that completed, newest first.
-- Served by the primary key, read backwards.
SELECT e.execution_id, r.function, r.queue, e.state, e.created_at, t.first_started_at, e.completed_at, e.deadline, t.result,
       t.failure, t.attempt, t.started_at, t.priority, r.tags
FROM executions e
JOIN tasks t ON t.execution_id = e.execution_id AND t.task_id = e.execution_id
JOIN routes r ON r.route_id = t.route_id
WHERE (?1 IS NULL OR r.queue = ?1) AND e.state = 2
ORDER BY e.execution_id DESC
LIMIT ?2 OFFSET ?3
