-- Creates an execution; no row changes when its id is taken. Its only write until its end.
-- Served by the primary key.
INSERT INTO executions (execution_id, route_id, state, created_at, deadline, deadline_state, expire_at, run_within)
VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (execution_id) DO NOTHING
