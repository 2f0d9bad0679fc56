-- The limit of a function in force from here on: the smallest that an open session has published.
-- Served by the primary key and functions_limited; enters or leaves limits_in_force.
INSERT INTO limits (function, max_concurrent)
VALUES (?1, (SELECT max_concurrent FROM functions INDEXED BY functions_limited
             WHERE name = ?1 AND max_concurrent IS NOT NULL ORDER BY max_concurrent LIMIT 1))
ON CONFLICT (function) DO UPDATE SET max_concurrent = excluded.max_concurrent
