-- Has a schedule rest, or go on at a due time.
-- Served by the primary key; leaves or enters schedules_due.
UPDATE schedules SET revision = ?2, paused = ?3, due = ?4 WHERE name = ?1
