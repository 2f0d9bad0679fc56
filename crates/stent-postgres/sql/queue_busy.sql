-- Whether a task that has not ended (state below 3) lies in a queue. Asked when a queue is dropped, which is rare: it
-- reads the tasks once, finding the routes by routes_key.
SELECT 1 FROM tasks WHERE state < 3 AND route_id IN (SELECT route_id FROM routes WHERE queue = $1::text) LIMIT 1
