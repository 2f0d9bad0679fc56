-- The number of a route.
-- Served by routes_key.
SELECT route_id FROM routes WHERE queue = ?1 AND function = ?2 AND tags = ?3
