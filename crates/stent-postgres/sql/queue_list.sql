-- All queues for people, in order of name.
-- Served by the primary key.
SELECT name, paused FROM queues ORDER BY name
