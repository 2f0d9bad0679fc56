-- Takes all dead letters of an execution away.
-- Served by the primary key.
DELETE FROM dead_letters WHERE execution_id = $1::uuid
