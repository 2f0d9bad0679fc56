-- Sets or clears when an execution is to be ended, and how.
-- Served by the primary key; moves in executions_deadline.
UPDATE executions SET deadline = ?2, deadline_state = ?3 WHERE execution_id = ?1
