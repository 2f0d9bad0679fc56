-- The calls of a task that have an answer by the time $3, in order of key: children whose end it has not had, and waits
-- that are due or whose signal, event or child is there. A signal is there for a wait if there is one for each that
-- stands before it in the line, too. The twin asks call by call; here each would be a way to the server and back.
-- Served by tasks_undelivered and the primary key of waits; for each wait waits_signal and signals_waiting, the primary
-- keys of events and event_cursors, or that of tasks.
SELECT call_key FROM tasks
WHERE execution_id = $1::uuid AND parent_id = $2::uuid AND undelivered
UNION
SELECT w.call_key FROM waits w
WHERE w.execution_id = $1::uuid AND w.task_id = $2::uuid
  AND (w.due <= $3::int8
       OR CASE w.kind
          WHEN 1 THEN (SELECT c.parent_id = w.task_id AND c.undelivered FROM tasks c
                       WHERE c.execution_id = w.execution_id AND c.task_id = w.child_id)
          WHEN 3 THEN EXISTS (SELECT FROM signals s
                              WHERE s.execution_id = w.execution_id AND s.name = w.name AND NOT s.consumed
                              ORDER BY s.position
                              OFFSET (SELECT count(*) FROM waits b
                                      WHERE b.kind = 3 AND b.execution_id = w.execution_id AND b.name = w.name
                                        AND b.number < coalesce(w.number, 0))
                              LIMIT 1)
          WHEN 4 THEN EXISTS (SELECT FROM events v
                              WHERE v.queue = w.queue AND v.name = w.name
                                AND v.position > coalesce((SELECT c.position FROM event_cursors c
                                                           WHERE c.execution_id = w.execution_id AND c.task_id = w.task_id
                                                             AND c.queue = w.queue AND c.name = w.name), 0)
                              ORDER BY v.position LIMIT 1)
          ELSE false END)
ORDER BY 1
