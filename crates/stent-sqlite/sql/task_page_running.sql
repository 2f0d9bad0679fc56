-- Tasks that run, the newest execution's first; ?1 narrows to a queue where it is given, ?2 to those that a task called.
-- Served by tasks_owned: what runs is few.
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key, r.function, r.queue, t.state, t.priority, r.tags, t.attempt, t.run,
       t.losses, t.epoch, t.session_id, t.woken, t.due, t.created_at, t.started_at, t.completed_at, t.args, t.result,
       t.failure, t.slot IS NOT NULL
FROM tasks t INDEXED BY tasks_owned
JOIN routes r ON r.route_id = t.route_id
WHERE t.session_id IS NOT NULL AND t.state = 1 AND (?1 IS NULL OR r.queue = ?1) AND (NOT ?2 OR t.parent_id IS NOT NULL)
ORDER BY t.execution_id DESC, t.task_id DESC
LIMIT ?3 OFFSET ?4
