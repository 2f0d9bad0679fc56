-- Executions from $1 to $2 in order of id, and whether each may go: it ended before $3, has no letter, and no task that
-- is unfinished or named by an owner who has not heeded its end. A look without locks: clean_check looks again.
-- Served by the primary keys, tasks_open and tasks_nudged; the last is read once, and holds what owners have yet to see.
-- Not by EXISTS, for which the server may read all that is open, of all executions, at once.
SELECT e.execution_id,
       e.completed_at IS NOT NULL AND e.completed_at < $3::int8
       AND (SELECT 1 FROM dead_letters d WHERE d.execution_id = e.execution_id LIMIT 1) IS NULL
       AND (SELECT 1 FROM tasks t WHERE t.execution_id = e.execution_id AND t.parent_id IS NOT NULL AND t.completed_at IS NULL
            LIMIT 1) IS NULL
       AND e.execution_id NOT IN (SELECT n.execution_id FROM tasks n
                                  WHERE n.session_id IS NOT NULL AND (n.woken OR n.state > 2))
FROM executions e
WHERE e.execution_id >= $1::uuid AND e.execution_id <= $2::uuid
ORDER BY e.execution_id
LIMIT $4::int8
