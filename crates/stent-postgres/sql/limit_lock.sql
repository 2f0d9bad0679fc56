-- Whoever publishes limits of these functions, or takes published ones away, takes turns with all others that do.
-- Served by the primary key; changes no index.
INSERT INTO limits (function) SELECT function FROM unnest($1::text[]) AS n (function) ORDER BY function
ON CONFLICT (function) DO UPDATE SET function = excluded.function
