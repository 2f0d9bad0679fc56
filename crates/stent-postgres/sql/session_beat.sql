-- A sign of life of an open session, by the server's clock, with the lock that shows its presence.
-- Served by the primary key; changes no index, so it stays within its page.
UPDATE sessions SET beat_at = (extract(epoch FROM clock_timestamp()) * 1000000)::int8, presence = $2::int8
WHERE session_id = $1::uuid AND is_open = 1
