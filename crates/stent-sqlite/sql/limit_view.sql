-- The limit of a function that is in force.
-- Served by the primary key.
SELECT max_concurrent FROM limits WHERE function = ?1
