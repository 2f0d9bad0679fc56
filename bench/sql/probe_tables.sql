-- What a step needs and nothing else: whose the task is (its epoch), and its records by (task, key).
CREATE TABLE tasks (task BLOB PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    task BLOB NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (task, key)
) WITHOUT ROWID;
