-- A step: the record goes in only if the task's epoch is still the claim's. By the primary keys of tasks and records.
INSERT INTO records (task, key, payload) SELECT task, ?2, ?3 FROM tasks WHERE task = ?1 AND epoch = ?4;
