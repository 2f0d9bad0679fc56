-- Records that an owner wrote after a later one had written, or that no owner of the task can have written: none, if
-- the fences held. Reads every record; nothing depends on its speed.
SELECT count(*) FROM (
    SELECT r.epoch < max(r.epoch) OVER (
               PARTITION BY r.execution_id, r.task_id ORDER BY r.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) OR r.epoch > t.epoch OR t.task_id IS NULL AS is_past_a_fence
    FROM records r LEFT JOIN tasks t ON t.execution_id = r.execution_id AND t.task_id = r.task_id
) checked
WHERE is_past_a_fence
