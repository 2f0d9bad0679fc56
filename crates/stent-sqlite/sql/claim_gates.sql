-- What every claim goes by: the queues that are paused, which it passes by, and then the functions that are limited, with
-- the limit in force.
-- Served by queues_paused and limits_in_force.
SELECT name, NULL FROM queues INDEXED BY queues_paused WHERE paused = 1
UNION ALL
SELECT function, max_concurrent FROM limits INDEXED BY limits_in_force WHERE max_concurrent IS NOT NULL
