-- How many tasks run in a queue ($1), where it is given.
-- Served by tasks_owned, read from end to end; the routes by their primary key.
SELECT count(*) FROM tasks t
JOIN routes r ON r.route_id = t.route_id
WHERE t.session_id IS NOT NULL AND t.state = 1 AND ($1::text IS NULL OR r.queue = $1::text)
