-- +goose Up
-- A mos of 0 means that there is none: the call was not recorded, nothing came, or the version that stored it did not rate.
ALTER TABLE recordings ADD COLUMN mos REAL NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN loss REAL NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN longest_gap_ms BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE recordings DROP COLUMN longest_gap_ms;
ALTER TABLE recordings DROP COLUMN loss;
ALTER TABLE recordings DROP COLUMN mos;
