-- The number of a route.
-- Served by routes_key.
SELECT route_id FROM routes WHERE queue = $1::text AND function = $2::text AND tags = $3::text
