-- A ready task becomes running in its new owner's hands (`Claim`: only a pending task is ready).
-- Served by the primary key; leaves tasks_ready and tasks_held, enters tasks_owned.
UPDATE tasks SET state = 1, ready = 0, woken = 0, session_id = ?3, epoch = epoch + 1, slot = coalesce(slot, ?5),
                 started_at = coalesce(started_at, ?4), first_started_at = coalesce(first_started_at, ?4)
WHERE execution_id = ?1 AND task_id = ?2
