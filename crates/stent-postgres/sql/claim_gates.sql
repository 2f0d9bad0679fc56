-- What every claim goes by: the queues that are paused, an empty name, and the functions that are limited.
-- Served by queues_paused and limits_in_force.
SELECT ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
       || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function)
