-- Fails, and with it the batch, if other queues are paused or other functions limited than the batch goes by.
-- Served by queues_paused and limits_in_force.
SELECT 1 / (CASE WHEN ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
                 || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function) = $1::text[] THEN 1 ELSE 0 END)
