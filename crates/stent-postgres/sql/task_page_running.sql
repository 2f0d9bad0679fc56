-- Tasks that run, the newest execution's first; $1 narrows to a queue where it is given, $2 to those that a task called.
-- Served by tasks_owned, read from end to end: what runs is few, and is found before the page is cut, lest the server
-- read all tasks in their order until it is full. The routes of a queue by routes_key; the page by the primary keys.
WITH running AS MATERIALIZED (
    SELECT x.execution_id, x.task_id FROM tasks x
    WHERE x.session_id IS NOT NULL AND x.state = 1
      AND ($1::text IS NULL OR x.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text))
      AND (NOT $2::bool OR x.parent_id IS NOT NULL)
), page AS (
    SELECT execution_id, task_id FROM running ORDER BY execution_id DESC, task_id DESC LIMIT $3::int8 OFFSET $4::int8
)
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key, r.function, r.queue, t.state, t.priority, r.tags, t.attempt, t.run,
       t.losses, t.epoch, t.session_id, t.woken, t.due, t.created_at, t.started_at, t.completed_at, t.args, t.result,
       t.failure, t.slot IS NOT NULL
FROM page p
CROSS JOIN LATERAL (SELECT * FROM tasks k WHERE k.execution_id = p.execution_id AND k.task_id = p.task_id LIMIT 1) t
JOIN routes r ON r.route_id = t.route_id
ORDER BY t.execution_id DESC, t.task_id DESC
