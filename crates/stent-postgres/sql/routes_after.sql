-- The routes numbered since a reader last looked.
-- Served by the primary key.
SELECT route_id, queue, function, tags FROM routes WHERE route_id > $1::int8 ORDER BY route_id
