-- When the next delayed or suspended task is due.
-- Served by tasks_due.
SELECT due FROM tasks WHERE due IS NOT NULL ORDER BY due LIMIT 1
