-- +goose Up
-- A row outlives its recording: when it ended, and why. gone_at is 0 while the recording is there.
ALTER TABLE recordings ADD COLUMN gone_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN gone_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX recordings_by_term ON recordings (retain_until) WHERE state IN ('stored', 'locked');

-- What is to be destroyed from then on. It may name a call that goes on, and has no row yet.
CREATE TABLE IF NOT EXISTS doomed (
    recording_id TEXT   NOT NULL PRIMARY KEY,
    reason       TEXT   NOT NULL,
    at           BIGINT NOT NULL
);

-- What keeps a recording from being locked: somebody who works on it until busy_until, and what nobody has released.
CREATE TABLE reviews (
    recording_id TEXT   NOT NULL PRIMARY KEY,
    busy_until   BIGINT NOT NULL,
    released_at  BIGINT NOT NULL
);

-- Notes, evaluations and transcripts: objects of their own, with terms of their own.
CREATE TABLE analyses (
    id           TEXT   NOT NULL PRIMARY KEY,
    recording_id TEXT   NOT NULL,
    class        TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    written_at   BIGINT NOT NULL,
    retain_until BIGINT NOT NULL,
    object       TEXT   NOT NULL
);
CREATE INDEX analyses_by_recording ON analyses (recording_id, written_at);
CREATE INDEX analyses_by_term ON analyses (state, retain_until);

-- +goose Down
DROP TABLE analyses;
DROP TABLE reviews;
DROP TABLE doomed;
DROP INDEX recordings_by_term;
ALTER TABLE recordings DROP COLUMN gone_reason;
ALTER TABLE recordings DROP COLUMN gone_at;
