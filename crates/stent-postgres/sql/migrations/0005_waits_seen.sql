-- How much of its past the code had had when it asked to wait: whoever asks sooner goes another way.

ALTER TABLE waits ADD COLUMN seen int4 NOT NULL DEFAULT 0;
