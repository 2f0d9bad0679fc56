-- What reservation_read says; and the key changes hands, is settled or freed by nobody else until the batch ends.
-- Served by the primary key.
SELECT execution_id, task_id, value FROM idempotency WHERE key = $1::text FOR UPDATE
