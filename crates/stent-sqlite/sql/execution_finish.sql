-- An execution ends by its root's word unless its deadline has passed or it has ended (`Complete`, `Fail` of 0 and 1):
-- no row changes then.
-- Served by the primary key; leaves executions_deadline, enters executions_failed when it did not complete.
UPDATE executions SET state = ?2, completed_at = ?3
WHERE execution_id = ?1 AND state < 2 AND (deadline IS NULL OR deadline > ?3)
