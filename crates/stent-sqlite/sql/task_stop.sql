-- A task that has not ended is ended by others (`Cancel`, `TimeOut`). Its owner, if it has one, stays named until it
-- heeds, and with it its slot.
-- Served by the primary key; leaves tasks_ready, tasks_due and tasks_open, enters tasks_nudged where it is owned.
UPDATE tasks SET state = ?3, ready = 0, due = NULL, woken = 0, completed_at = ?4, undelivered = ?5,
                 slot = iif(session_id IS NULL, NULL, slot)
WHERE execution_id = ?1 AND task_id = ?2
