-- A delayed or suspended task becomes ready with this rank. Only a task whose state still allows `Wake` has a due time.
-- Served by the primary key; leaves tasks_due, enters tasks_ready, and tasks_held where it holds a slot.
UPDATE tasks SET state = 0, ready = 1, rank = coalesce(?3, rank), due = NULL
WHERE execution_id = ?1 AND task_id = ?2
