-- What the deadline of an execution is made of once its root was claimed.
-- Served by the primary key.
SELECT expire_at, run_within FROM executions WHERE execution_id = $1::uuid
