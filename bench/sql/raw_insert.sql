-- One record, by the primary key of records.
INSERT INTO records (task, key, payload) VALUES (?1, ?2, ?3);
