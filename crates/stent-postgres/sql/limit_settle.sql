-- The limits of these functions in force from here on: the smallest that an open session has published. After limit_lock,
-- so that it sees what those before it published.
-- Served by the primary key and functions_limited; enters or leaves limits_in_force.
UPDATE limits l SET max_concurrent = (SELECT f.max_concurrent FROM functions f
                                      WHERE f.name = l.function AND f.max_concurrent IS NOT NULL
                                      ORDER BY f.max_concurrent LIMIT 1)
WHERE l.function = ANY ($1::text[])
