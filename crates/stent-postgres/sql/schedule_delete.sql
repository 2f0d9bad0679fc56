-- Deletes a schedule.
-- Served by the primary key.
DELETE FROM schedules WHERE name = $1::text
