-- How many dead letters there are.
-- Reads an index of them once; letters are rare.
SELECT count(*) FROM dead_letters
