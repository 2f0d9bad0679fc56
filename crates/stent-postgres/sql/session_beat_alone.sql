-- The same as session_beat, as a transaction of its own that nobody waits for the disk for: what a crash of the server
-- takes away is one sign of life, and after a restart nobody is judged before all had time for the next. Never within
-- another transaction, for which it would say the same.
-- Served by the primary key or sessions_open; changes no index, so it stays within its page.
UPDATE sessions SET beat_at = (extract(epoch FROM clock_timestamp()) * 1000000)::int8, presence = $2::int8
WHERE session_id = $1::uuid AND is_open = 1
RETURNING set_config('synchronous_commit', 'off', true)
