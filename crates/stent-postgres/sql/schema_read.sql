-- Which schema this is and the oldest client it serves.
SELECT product, version, oldest_client FROM stent_schema
