-- How many tasks run in a queue ($1), where it is given.
-- Served by tasks_owned, read from end to end; the routes of a queue by routes_key.
SELECT count(*) FROM tasks t
WHERE t.session_id IS NOT NULL AND t.state = 1
  AND ($1::text IS NULL OR t.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text))
