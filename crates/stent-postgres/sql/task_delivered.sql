-- The end of a child has reached its parent. The mark is compared as a number, so that the server does not look through
-- all that is marked in the execution for it.
-- Served by the primary key; leaves tasks_undelivered.
UPDATE tasks SET undelivered = false WHERE execution_id = $1::uuid AND task_id = $2::uuid AND undelivered::int4 = 1
