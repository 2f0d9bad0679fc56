-- Drops the row of a queue.
-- Served by the primary key.
DELETE FROM queues WHERE name = $1::text
