-- Tasks as their claims leave them, by the primary key of tasks.
INSERT INTO tasks (task, epoch) SELECT task, $2::int8 FROM unnest($1::uuid[]) AS n (task)
