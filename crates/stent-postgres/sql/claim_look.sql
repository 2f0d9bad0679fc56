-- Whether anything is ready in these routes, or due; when the next is due; and what a claim goes by: the last route that
-- was numbered, the paused queues and limited functions, and whether the session is open. What an idle worker asks again
-- and again, so it has no part for limits: see claim_look_limited.
-- Served by tasks_ready, tasks_due, the primary keys of routes and sessions, queues_paused and limits_in_force.
SELECT EXISTS (SELECT 1 FROM tasks WHERE ready AND route_id = ANY ($1::int8[]))
           OR coalesce(next.due <= $2::int8, false),
       next.due,
       coalesce((SELECT route_id FROM routes ORDER BY route_id DESC LIMIT 1), 0),
       ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
       || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function),
       EXISTS (SELECT 1 FROM sessions WHERE session_id = $3::uuid AND is_open = 1)
FROM (SELECT (SELECT due FROM tasks WHERE due IS NOT NULL ORDER BY due LIMIT 1) AS due OFFSET 0) AS next
