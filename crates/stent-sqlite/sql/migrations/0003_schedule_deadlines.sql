-- When to give up what a schedule has started; spans in microseconds, NULL for none.

ALTER TABLE schedules ADD COLUMN expire_after INTEGER;
ALTER TABLE schedules ADD COLUMN start_within INTEGER;
ALTER TABLE schedules ADD COLUMN run_within INTEGER;
