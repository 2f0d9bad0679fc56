-- The queues that claims pass by, in order of name.
-- Served by queues_paused.
SELECT name FROM queues WHERE paused ORDER BY name
