-- Shows sessions as present for as long as the connection lasts. The locks are shared, so that one that the server still
-- holds for a connection of ours that broke keeps nobody waiting.
-- Reads no table.
SELECT pg_advisory_lock_shared(key) FROM unnest($1::int8[]) AS keys (key)
