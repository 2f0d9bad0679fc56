-- When to give up what a schedule has started; spans in microseconds, NULL for none.

ALTER TABLE schedules ADD COLUMN expire_after int8;
ALTER TABLE schedules ADD COLUMN start_within int8;
ALTER TABLE schedules ADD COLUMN run_within int8;
