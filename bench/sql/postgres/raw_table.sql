-- Where the raw rows go: the probe's records, a payload under (task, key), and nothing beside them.
CREATE TABLE records (
    task    uuid NOT NULL,
    key     text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (task, key)
)
