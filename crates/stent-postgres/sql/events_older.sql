-- Whether there are events from before this time.
-- Served by events_age.
SELECT 1 FROM events WHERE created_at < $1::int8 LIMIT 1
