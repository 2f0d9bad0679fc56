-- Whether a task of these functions is ready. Reads the routes by their queues, whatever these are: they are few.
-- Served by routes_key and tasks_ready.
SELECT 1 FROM routes r
CROSS JOIN LATERAL (SELECT 1 FROM tasks WHERE ready AND route_id = r.route_id LIMIT 1) AS t
WHERE r.function = ANY ($1::text[])
LIMIT 1
