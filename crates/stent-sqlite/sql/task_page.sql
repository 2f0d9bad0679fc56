-- Tasks of all executions, the newest execution's first; ?1 narrows to a queue and ?2 to a state where they are given, ?3
-- to those that a task called.
-- Served by the primary key, read backwards.
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key, r.function, r.queue, t.state, t.priority, r.tags, t.attempt, t.run,
       t.losses, t.epoch, t.session_id, t.woken, t.due, t.created_at, t.started_at, t.completed_at, t.args, t.result,
       t.failure, t.slot IS NOT NULL
FROM tasks t
JOIN routes r ON r.route_id = t.route_id
WHERE (?1 IS NULL OR r.queue = ?1) AND (?2 IS NULL OR t.state = ?2) AND (NOT ?3 OR t.parent_id IS NOT NULL)
ORDER BY t.execution_id DESC, t.task_id DESC
LIMIT ?4 OFFSET ?5
