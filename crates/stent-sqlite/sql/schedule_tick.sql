-- Moves a schedule on to its next tick, remembering what this one started, if anything.
-- Served by the primary key; moves in schedules_due.
UPDATE schedules
SET due = ?2, last_tick = coalesce(?3, last_tick), last_execution = coalesce(?4, last_execution)
WHERE name = ?1
