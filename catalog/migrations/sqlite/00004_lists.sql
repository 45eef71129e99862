-- +goose Up
-- Those who never want to be recorded, as keyed hashes: the list names nobody.
CREATE TABLE objections (
    hash   TEXT   NOT NULL PRIMARY KEY,
    since  BIGINT NOT NULL,
    source TEXT   NOT NULL,
    proof  TEXT   NOT NULL
);
-- How often a list has changed, for those who hold a copy of it.
CREATE TABLE list_versions (
    list    TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);

-- The places of quotas that are taken. Neither says whose quota it is.
CREATE TABLE places (
    quota     TEXT   NOT NULL,
    recording TEXT   NOT NULL,
    draw      TEXT   NOT NULL,
    taken_at  BIGINT NOT NULL,
    PRIMARY KEY (quota, recording)
);
CREATE INDEX places_by_draw ON places (quota, draw, recording);
CREATE INDEX places_by_time ON places (taken_at);
CREATE TABLE IF NOT EXISTS doomed (
    recording_id TEXT   NOT NULL PRIMARY KEY,
    reason       TEXT   NOT NULL,
    at           BIGINT NOT NULL
);

-- Calls that have to have a recording, and the identifiers that it is looked for by. told is 0 until it is known that there is none.
CREATE TABLE expected (
    call_hash TEXT   NOT NULL PRIMARY KEY,
    class     TEXT   NOT NULL,
    ended_at  BIGINT NOT NULL,
    deadline  BIGINT NOT NULL,
    told      BIGINT NOT NULL
);
CREATE INDEX expected_by_deadline ON expected (told, deadline);
CREATE TABLE expected_ids (
    call_hash TEXT    NOT NULL REFERENCES expected (call_hash) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    PRIMARY KEY (call_hash, position)
);

-- +goose Down
DROP TABLE expected_ids;
DROP TABLE expected;
DROP TABLE places;
DROP TABLE list_versions;
DROP TABLE objections;
