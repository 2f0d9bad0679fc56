-- Whether a queue is paused; no row for a queue that is not known. It stays so until the batch ends.
-- Served by the primary key.
SELECT paused FROM queues WHERE name = $1::text
FOR NO KEY UPDATE
