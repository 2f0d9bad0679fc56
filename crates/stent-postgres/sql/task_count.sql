-- How many tasks lie in a queue ($1) and a state ($2), where they are given.
-- Reads the tasks once; those that are pending or running are counted by their indexes instead.
SELECT count(*) FROM tasks t
WHERE ($1::text IS NULL OR t.route_id IN (SELECT q.route_id FROM routes q WHERE q.queue = $1::text))
  AND ($2::int2 IS NULL OR t.state = $2::int2)
