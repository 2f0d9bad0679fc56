-- Tasks of all executions, the newest execution's first; $1 narrows to a queue and $2 to a state where they are given,
-- $3 to those that a task called.
-- Served by the primary key, read backwards; the routes of a queue by routes_key.
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key, r.function, r.queue, t.state, t.priority, r.tags, t.attempt, t.run,
       t.losses, t.epoch, t.session_id, t.woken, t.due, t.created_at, t.started_at, t.completed_at, t.args, t.result,
       t.failure, t.slot IS NOT NULL
FROM (
    SELECT * FROM tasks x
    WHERE ($1::text IS NULL OR x.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text))
      AND ($2::int2 IS NULL OR x.state = $2::int2) AND (NOT $3::bool OR x.parent_id IS NOT NULL)
    ORDER BY x.execution_id DESC, x.task_id DESC
    LIMIT $4::int8 OFFSET $5::int8
) t
JOIN routes r ON r.route_id = t.route_id
ORDER BY t.execution_id DESC, t.task_id DESC
