-- Numbers a route that is new: its queue, function and tag set. Numbers follow one another without a sequence: whoever
-- takes the same at this moment is waited for, and no row changes if that one commits.
-- Served by the primary key and routes_key.
INSERT INTO routes (route_id, queue, function, tags)
SELECT coalesce((SELECT max(route_id) FROM routes), 0) + 1, $1::text, $2::text, $3::text
ON CONFLICT DO NOTHING
