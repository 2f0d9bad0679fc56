-- A task as its claim leaves it, by the primary key of tasks.
INSERT INTO tasks (task, epoch) VALUES (?1, ?2);
