-- Executions from ?1 to ?2 in order of id, and whether each may go: it ended before ?3, has no letter, and no task that is
-- unfinished or named by an owner who has not heeded its end.
-- Served by the primary keys, tasks_open and tasks_nudged; the last is read once, and holds what owners have yet to see.
SELECT e.execution_id,
       e.completed_at IS NOT NULL AND e.completed_at < ?3
       AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.execution_id)
       AND NOT EXISTS (SELECT 1 FROM tasks t INDEXED BY tasks_open
                       WHERE t.execution_id = e.execution_id AND t.parent_id IS NOT NULL AND t.completed_at IS NULL)
       AND e.execution_id NOT IN (SELECT n.execution_id FROM tasks n INDEXED BY tasks_nudged
                                  WHERE n.session_id IS NOT NULL AND (n.woken <> 0 OR n.state > 2))
FROM executions e
WHERE e.execution_id >= ?1 AND e.execution_id <= ?2
ORDER BY e.execution_id
LIMIT ?4
