-- An execution runs again without a deadline (`Replay`).
-- Served by the primary key; leaves executions_failed.
UPDATE executions SET state = 1, completed_at = NULL, deadline = NULL, overdue_at = NULL, deadline_state = NULL, expire_at = NULL,
                      run_within = NULL, rare_state = NULL, route_id = $2::int8
WHERE execution_id = $1::uuid
