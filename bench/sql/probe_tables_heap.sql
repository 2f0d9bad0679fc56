-- The same as probe_tables.sql, but records in the order they come, with their primary key as an index: rows of many
-- tasks share pages.
CREATE TABLE tasks (task BLOB PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    task BLOB NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (task, key)
);
