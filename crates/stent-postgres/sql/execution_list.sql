-- Executions, newest first, in all states; $1 narrows to a queue where it is given.
-- Served by the primary key, read backwards; the routes of a queue by routes_key.
-- The page is cut before the roots are looked up, one by one: what is passed over costs no more than its own row.
SELECT e.execution_id, r.function, r.queue, e.state, e.created_at, t.first_started_at, e.completed_at, e.deadline, t.result,
       t.failure, t.attempt, t.started_at, t.priority, r.tags
FROM (
    SELECT x.execution_id, x.state, x.created_at, x.completed_at, x.deadline FROM executions x
    WHERE ($1::text IS NULL OR x.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text))
    ORDER BY x.execution_id DESC
    LIMIT $2::int8 OFFSET $3::int8
) e
CROSS JOIN LATERAL (
    SELECT k.route_id, k.first_started_at, k.result, k.failure, k.attempt, k.started_at, k.priority FROM tasks k
    WHERE k.execution_id = e.execution_id AND k.task_id = e.execution_id
    LIMIT 1
) t
JOIN routes r ON r.route_id = t.route_id
ORDER BY e.execution_id DESC
