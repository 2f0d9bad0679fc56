-- Whether there are events from before this time.
-- Served by events_age.
SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_age WHERE created_at < ?1)
