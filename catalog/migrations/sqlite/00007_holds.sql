-- +goose Up
-- Legal holds. One with a query is a rule: what matches it is held, also later. query is JSON; '' is a hold of the recordings it names.
CREATE TABLE holds (
    name      TEXT   NOT NULL PRIMARY KEY,
    query     TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    placed_by TEXT   NOT NULL,
    placed_at BIGINT NOT NULL,
    ended_at  BIGINT NOT NULL
);

-- What is held, by which hold, and how far the store has followed. A recording that was let go stays, so that its rule leaves it alone.
CREATE TABLE held (
    recording_id TEXT   NOT NULL,
    hold         TEXT   NOT NULL REFERENCES holds (name),
    state        TEXT   NOT NULL,
    since        BIGINT NOT NULL,
    PRIMARY KEY (recording_id, hold)
);
CREATE INDEX held_by_hold ON held (hold, state);
CREATE INDEX held_by_state ON held (state);

-- Requests to erase a recording, and what became of them: the last of each recording.
CREATE TABLE erasures (
    recording_id TEXT   NOT NULL PRIMARY KEY,
    reason       TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    asked_by     TEXT   NOT NULL,
    asked_at     BIGINT NOT NULL,
    decided_by   TEXT   NOT NULL,
    decided_at   BIGINT NOT NULL
);
CREATE INDEX erasures_by_state ON erasures (state);

-- Recordings whose use is restricted (GDPR Art. 18).
CREATE TABLE restrictions (
    recording_id TEXT   NOT NULL PRIMARY KEY,
    reason       TEXT   NOT NULL,
    placed_by    TEXT   NOT NULL,
    placed_at    BIGINT NOT NULL
);

-- +goose Down
DROP TABLE restrictions;
DROP TABLE erasures;
DROP TABLE held;
DROP TABLE holds;
