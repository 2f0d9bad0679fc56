-- Forgets what a task registered to wait for one child.
-- Served by waits_child.
DELETE FROM waits INDEXED BY waits_child
WHERE execution_id = ?1 AND task_id = ?2 AND kind = 1 AND child_id = ?3
