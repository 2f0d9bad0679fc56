-- Before the fence of a batch that takes tasks from their owners: its own committer's row ($1, $2) and those of all whom it
-- will bump, locked in order of id, so that two that take from each other meet at the first of them and never in a
-- circle. $3: the executions it may take from; $4: the sessions; $5, $6: when, and how many overdue executions it ends.
-- Who comes to own a task after this is bumped when that is found.
-- Served by executions_deadline, tasks_open and the primary keys. OFFSET 0 keeps the order of the joins: from the other
-- end the server would read what a session owns elsewhere.
WITH places AS MATERIALIZED (
    SELECT execution_id FROM unnest($3::uuid[]) AS n (execution_id)
    UNION ALL
    (SELECT execution_id FROM executions WHERE overdue_at <= $5::int8 ORDER BY overdue_at, execution_id LIMIT $6::int8)
), owners AS MATERIALIZED (
    SELECT session_id, true AS is_named FROM unnest($4::uuid[]) AS n (session_id)
    UNION
    SELECT t.session_id, false FROM places CROSS JOIN LATERAL (
        SELECT session_id FROM tasks
        WHERE execution_id = places.execution_id AND parent_id IS NOT NULL AND completed_at IS NULL OFFSET 0
    ) AS t
    UNION
    SELECT t.session_id, false FROM places CROSS JOIN LATERAL (
        SELECT session_id FROM tasks
        WHERE execution_id = places.execution_id AND task_id = places.execution_id AND completed_at IS NULL OFFSET 0
    ) AS t
), line AS MATERIALIZED (
    SELECT c.instance_id, c.lane FROM owners
    CROSS JOIN LATERAL (SELECT instance_id FROM sessions WHERE session_id = owners.session_id OFFSET 0) AS s
    JOIN committers c ON c.instance_id = s.instance_id
    WHERE owners.is_named OR s.instance_id <> $1::uuid
    UNION
    SELECT $1::uuid, $2::int2
)
SELECT c.lane FROM line JOIN committers c ON c.instance_id = line.instance_id AND c.lane = line.lane
ORDER BY c.instance_id, c.lane
FOR NO KEY UPDATE OF c
