-- The queues that claims pass by.
-- Served by queues_paused.
SELECT name FROM queues INDEXED BY queues_paused WHERE paused = 1
