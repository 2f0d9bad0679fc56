-- A parent may wait for thousands of children: the wait for one that ends is found without looking at the others.

CREATE INDEX waits_child ON waits (execution_id, task_id, child_id) WHERE kind = 1;
