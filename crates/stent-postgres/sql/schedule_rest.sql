-- Has a schedule rest, or go on at a due time.
-- Served by the primary key; leaves or enters schedules_due.
UPDATE schedules SET revision = $2::int8, paused = $3::bool, due = $4::int8 WHERE name = $1::text
