-- Sees to it that a function has slots for the whole of a limit.
-- Served by the primary key.
INSERT INTO limit_slots (function, number) SELECT $1::text, number FROM generate_series(0, $2::int4 - 1) AS number
ON CONFLICT DO NOTHING
