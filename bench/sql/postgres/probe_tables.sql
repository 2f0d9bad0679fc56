-- What a step needs and nothing else: who commits (its generation), whose the task is (its epoch), and the records by
-- (task, key). Rows of many tasks share pages: PostgreSQL keeps no table in the order of its key.
CREATE TABLE committers (
    committer  int4 NOT NULL PRIMARY KEY,
    generation int8 NOT NULL,
    last_batch int8 NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE tasks (
    task  uuid NOT NULL PRIMARY KEY,
    epoch int8 NOT NULL
);
CREATE TABLE records (
    task    uuid NOT NULL,
    key     text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (task, key)
);
