-- One task as people see it.
-- Served by the primary key.
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key, r.function, r.queue, t.state, t.priority, r.tags, t.attempt, t.run,
       t.losses, t.epoch, t.session_id, t.woken, t.due, t.created_at, t.started_at, t.completed_at, t.args, t.result,
       t.failure, t.slot IS NOT NULL
FROM tasks t
JOIN routes r ON r.route_id = t.route_id
WHERE t.execution_id = $1::uuid AND t.task_id = $2::uuid
