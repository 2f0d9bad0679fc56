-- Ends the presence of sessions.
-- Reads no table.
SELECT pg_advisory_unlock_shared(key) FROM unnest($1::int8[]) AS keys (key)
