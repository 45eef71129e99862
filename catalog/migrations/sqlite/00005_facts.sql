-- +goose Up
-- The facts of decisions, sealed, for as long as the policy lets them be kept.
CREATE TABLE facts (
    recording_id TEXT    NOT NULL PRIMARY KEY,
    at           BIGINT  NOT NULL,
    until        BIGINT  NOT NULL,
    sealed       BLOB    NOT NULL
);
CREATE INDEX facts_by_time ON facts (at, recording_id);
CREATE INDEX facts_by_end ON facts (until);

-- +goose Down
DROP TABLE facts;
