-- Tells those who listen on a channel that something was committed, and who says so.
-- Reads no table.
SELECT pg_notify($1::text, $2::text)
