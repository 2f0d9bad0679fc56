-- Creates a task: pending (ready or delayed), or running in the hands of its first owner.
-- Served by the primary key; enters tasks_ready, tasks_due or tasks_owned, and tasks_open when it is a child.
INSERT INTO tasks (execution_id, task_id, route_id, state, ready, rank, priority, epoch, session_id, due, on_start, created_at,
                   started_at, first_started_at, parent_id, call_key, seen, digest, options, headers, args)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
