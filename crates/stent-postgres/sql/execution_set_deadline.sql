-- Sets or clears when an execution is to be ended, and how.
-- Served by the primary key; moves in executions_deadline.
UPDATE executions SET deadline = $2::int8, overdue_at = CASE WHEN completed_at IS NULL THEN $2::int8 END, deadline_state = $3::int2
WHERE execution_id = $1::uuid
