-- Deletes the oldest events from before this time.
-- Served by events_age.
DELETE FROM events WHERE (queue, name, position) IN
    (SELECT queue, name, position FROM events INDEXED BY events_age WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)
