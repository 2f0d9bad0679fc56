-- An execution ends in this state. The caller has asked the state machine; a second end changes nothing.
-- Served by the primary key; leaves executions_deadline, enters executions_failed when it did not complete.
UPDATE executions SET state = $2::int2, completed_at = $3::int8, overdue_at = NULL,
                      rare_state = CASE WHEN $2::int2 > 2 THEN $2::int2 END
WHERE execution_id = $1::uuid AND completed_at IS NULL
