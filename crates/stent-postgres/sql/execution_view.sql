-- One execution as people see it.
-- Served by the primary keys.
SELECT e.execution_id, r.function, r.queue, e.state, e.created_at, t.first_started_at, e.completed_at, e.deadline, t.result,
       t.failure, t.attempt, t.started_at, t.priority, r.tags
FROM executions e
JOIN tasks t ON t.execution_id = e.execution_id AND t.task_id = e.execution_id
JOIN routes r ON r.route_id = t.route_id
WHERE e.execution_id = $1::uuid
