-- Deletes the oldest events from before this time.
-- Served by events_age and the primary key.
DELETE FROM events e USING (
    SELECT queue, name, position FROM events WHERE created_at < $1::int8 ORDER BY created_at LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
) AS old
WHERE e.queue = old.queue AND e.name = old.name AND e.position = old.position
