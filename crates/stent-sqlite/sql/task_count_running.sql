-- How many tasks run in a queue (?1), where it is given.
-- Served by tasks_owned.
SELECT count(*) FROM tasks t INDEXED BY tasks_owned
CROSS JOIN routes r ON r.route_id = t.route_id
WHERE t.session_id IS NOT NULL AND t.state = 1 AND (?1 IS NULL OR r.queue = ?1)
