-- A task that has not ended is ended by others (`Cancel`, `TimeOut`). Its owner, if it has one, stays named until it
-- heeds, and with it its slot.
-- Served by the primary key; leaves tasks_ready, tasks_due and tasks_open, enters tasks_nudged where it is owned.
UPDATE tasks SET state = $3::int2, ready = false, due = NULL, woken = false, completed_at = $4::int8, undelivered = $5::bool,
                 slot = CASE WHEN session_id IS NOT NULL THEN slot END
WHERE execution_id = $1::uuid AND task_id = $2::uuid
