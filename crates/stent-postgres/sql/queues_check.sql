-- Fails, and with it the batch, if other queues are paused than the batch goes by.
-- Served by queues_paused.
SELECT 1 / (CASE WHEN coalesce(array_agg(name ORDER BY name), '{}') = $1::text[] THEN 1 ELSE 0 END) FROM queues WHERE paused
