-- Where an execution stands; and nobody else signals, cancels, expires or replays it until the batch ends.
-- Served by the primary key.
SELECT state, overdue_at, deadline_state FROM executions WHERE execution_id = $1::uuid
FOR NO KEY UPDATE
