-- Where an execution stands.
-- Served by the primary key.
SELECT state, deadline, deadline_state FROM executions WHERE execution_id = ?1
