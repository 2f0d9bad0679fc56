-- How many tasks are pending in a queue ($1), where it is given: ready, or delayed.
-- Served by tasks_ready and tasks_due, read from end to end; the routes by their primary key.
SELECT (SELECT count(*) FROM tasks t
        JOIN routes r ON r.route_id = t.route_id
        WHERE t.ready AND ($1::text IS NULL OR r.queue = $1::text))
     + (SELECT count(*) FROM tasks t
        JOIN routes r ON r.route_id = t.route_id
        WHERE t.due IS NOT NULL AND t.state = 0 AND ($1::text IS NULL OR r.queue = $1::text))
