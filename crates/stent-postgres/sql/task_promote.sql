-- A suspended task becomes ready with this rank (`Wake`).
-- Served by the primary key; leaves tasks_due, enters tasks_ready, and tasks_held where it holds a slot.
UPDATE tasks SET state = 0, ready = true, rank = $3::int8, due = NULL
WHERE execution_id = $1::uuid AND task_id = $2::uuid
