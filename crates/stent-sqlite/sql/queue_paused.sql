-- Whether a queue is paused; no row for a queue that is not known.
-- Served by the primary key.
SELECT paused FROM queues WHERE name = ?1
