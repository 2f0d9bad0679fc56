-- Which of these executions, locked by now, may still go: what was true at the look may have changed before the lock.
-- Served by the primary keys, tasks_open and tasks_nudged.
-- Not by EXISTS, for which the server may read all that is open, of all executions, at once.
SELECT e.execution_id FROM executions e
WHERE e.execution_id = ANY ($1::uuid[]) AND
       e.completed_at IS NOT NULL AND e.completed_at < $2::int8
       AND (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.execution_id LIMIT 1) IS NULL
       AND (SELECT 1 FROM tasks t WHERE t.execution_id = e.execution_id AND t.parent_id IS NOT NULL AND t.completed_at IS NULL
            LIMIT 1) IS NULL
       AND e.execution_id NOT IN (SELECT n.execution_id FROM tasks n
                                  WHERE n.session_id IS NOT NULL AND (n.woken OR n.state > 2))
ORDER BY e.execution_id
