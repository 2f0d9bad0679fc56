-- Those among these executions that have ended, or are not there.
-- Served by the primary key.
SELECT n.id FROM unnest($1::uuid[]) AS n (id)
WHERE (SELECT completed_at IS NOT NULL FROM executions WHERE execution_id = n.id) IS DISTINCT FROM false
