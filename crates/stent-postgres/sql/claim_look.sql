-- Whether anything is ready in these routes, or due; when the next is due; and what a claim goes by: the last route that
-- was numbered, the paused queues, and whether the session is open.
-- Served by tasks_ready, tasks_due, the primary keys of routes and sessions, and queues_paused.
SELECT EXISTS (SELECT 1 FROM unnest($1::int8[]) AS r (route_id)
               CROSS JOIN LATERAL (SELECT 1 FROM tasks t WHERE t.ready AND t.route_id = r.route_id LIMIT 1) AS t)
           OR coalesce(next.due <= $2::int8, false),
       next.due,
       coalesce((SELECT max(route_id) FROM routes), 0),
       (SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM queues WHERE paused),
       EXISTS (SELECT 1 FROM sessions WHERE session_id = $3::uuid AND is_open = 1)
FROM (SELECT 1) AS always
LEFT JOIN (SELECT due FROM tasks WHERE due IS NOT NULL ORDER BY due LIMIT 1) AS next ON true
