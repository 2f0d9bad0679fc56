-- Ties the start keys of a batch to their executions, in order of key, before all rows but the committers' own: two batches
-- with the same keys meet at the first of them. Answers those that were free; waits for whoever ties one now. The twin
-- has one writer at a time and needs no order.
-- Served by the primary key.
INSERT INTO start_keys (start_key, execution_id)
SELECT start_key, execution_id FROM unnest($1::text[], $2::uuid[]) AS n (start_key, execution_id) ORDER BY start_key
ON CONFLICT (start_key) DO NOTHING
RETURNING start_key
