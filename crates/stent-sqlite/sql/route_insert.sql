-- Numbers a route that is new: its queue, function and tag set.
-- Served by routes_key.
INSERT INTO routes (queue, function, tags) VALUES (?1, ?2, ?3)
