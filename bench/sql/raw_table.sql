-- Where the raw rows go: the probe's records, a payload under (task, key), and nothing beside them.
CREATE TABLE records (
    task BLOB NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (task, key)
) WITHOUT ROWID;
