-- The closed sessions that own nothing any more and have not beaten for $1 microseconds by the server's clock.
-- Reads the table from end to end: it holds the sessions of a day.
SELECT session_id FROM sessions
WHERE is_open = 0 AND beat_at < (extract(epoch FROM clock_timestamp()) * 1000000)::int8 - $1::int8
LIMIT $2::int8
FOR UPDATE SKIP LOCKED
