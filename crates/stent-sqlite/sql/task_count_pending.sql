-- How many tasks are pending in a queue (?1), where it is given: ready, or delayed.
-- Served by tasks_ready and tasks_due. Reads the routes, which are few, from end to end.
SELECT (SELECT count(*) FROM routes r
        CROSS JOIN tasks t INDEXED BY tasks_ready ON t.route_id = r.route_id AND t.ready = 1
        WHERE ?1 IS NULL OR r.queue = ?1)
     + (SELECT count(*) FROM tasks t INDEXED BY tasks_due
        CROSS JOIN routes r ON r.route_id = t.route_id
        WHERE t.due IS NOT NULL AND t.state = 0 AND (?1 IS NULL OR r.queue = ?1))
