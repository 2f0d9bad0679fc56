-- An execution ends in this state. The caller has asked the state machine; a second end changes nothing.
-- Served by the primary key; leaves executions_deadline, enters executions_failed when it did not complete.
UPDATE executions SET state = ?2, completed_at = ?3
WHERE execution_id = ?1 AND completed_at IS NULL
