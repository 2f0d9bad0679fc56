-- How many tasks are pending in a queue ($1), where it is given: ready, or delayed.
-- Served by tasks_ready and tasks_due, read from end to end; the routes of a queue by routes_key.
SELECT (SELECT count(*) FROM tasks t
        WHERE t.ready
          AND ($1::text IS NULL OR t.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text)))
     + (SELECT count(*) FROM tasks t
        WHERE t.due IS NOT NULL AND t.state = 0
          AND ($1::text IS NULL OR t.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text)))
