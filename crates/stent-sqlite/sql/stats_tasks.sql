-- How many tasks lie in each queue and state.
-- Reads the tasks once.
SELECT r.queue, t.state, sum(t.many) FROM (SELECT route_id, state, count(*) AS many FROM tasks GROUP BY route_id, state) t
JOIN routes r ON r.route_id = t.route_id
GROUP BY r.queue, t.state
