-- Whether a task of this function is ready. Reads the routes from end to end: they are few.
-- Served by tasks_ready.
SELECT 1 FROM routes r CROSS JOIN tasks t INDEXED BY tasks_ready
WHERE r.function = ?1 AND t.ready = 1 AND t.route_id = r.route_id
LIMIT 1
