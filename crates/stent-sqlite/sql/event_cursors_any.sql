-- Whether any task has had an event.
-- Served by the primary key.
SELECT EXISTS (SELECT 1 FROM event_cursors)
