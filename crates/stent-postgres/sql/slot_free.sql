-- Whether a slot may be free for a task of these functions, or no limit is in force there any more.
-- Served by limits_in_force and the primary key of slots.
SELECT 1 FROM unnest($1::text[]) AS n (function)
LEFT JOIN LATERAL (SELECT max_concurrent FROM limits
                   WHERE function = n.function AND max_concurrent IS NOT NULL LIMIT 1) AS l ON true
WHERE l.max_concurrent IS NULL
   OR EXISTS (SELECT 1 FROM limit_slots
              WHERE function = n.function AND number < l.max_concurrent AND task_id IS NULL)
LIMIT 1
