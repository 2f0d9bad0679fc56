-- How many tasks lie in a queue (?1) and a state (?2), where they are given.
-- Reads the tasks once; those that are pending or running are counted by their indexes instead.
SELECT count(*) FROM tasks t
JOIN routes r ON r.route_id = t.route_id
WHERE (?1 IS NULL OR r.queue = ?1) AND (?2 IS NULL OR t.state = ?2)
