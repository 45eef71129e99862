-- +goose Up
CREATE TABLE recordings (
    id               TEXT    NOT NULL PRIMARY KEY,
    state            TEXT    NOT NULL,
    class            TEXT    NOT NULL,
    rule             TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    detail           TEXT    NOT NULL,
    policy_digest    TEXT    NOT NULL,
    src              TEXT    NOT NULL,
    tenant           TEXT    NOT NULL,
    call_key_hash    TEXT    NOT NULL,
    started_at       BIGINT  NOT NULL,
    ended_at         BIGINT  NOT NULL,
    duration_ms      BIGINT  NOT NULL,
    channels         TEXT    NOT NULL,
    participants     TEXT    NOT NULL,
    call_ids         TEXT    NOT NULL,
    audio            TEXT    NOT NULL,
    sidecar          TEXT    NOT NULL,
    lock_mode        TEXT    NOT NULL,
    locked_until     BIGINT  NOT NULL,
    quarantine_until BIGINT  NOT NULL,
    retain_until     BIGINT  NOT NULL,
    gaps             BIGINT  NOT NULL,
    gaps_ms          BIGINT  NOT NULL,
    pauses           BIGINT  NOT NULL,
    pauses_ms        BIGINT  NOT NULL,
    end_cause        TEXT    NOT NULL,
    warnings         TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL
);
CREATE INDEX recordings_by_start ON recordings (started_at DESC, id);
CREATE INDEX recordings_by_state ON recordings (state);
CREATE INDEX recordings_by_class ON recordings (class, started_at DESC, id);

CREATE TABLE participants (
    recording_id TEXT    NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    search       TEXT    NOT NULL,
    number       TEXT    NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX participants_by_number ON participants (number);

CREATE TABLE call_ids (
    recording_id TEXT    NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    call_id      TEXT    NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX call_ids_by_id ON call_ids (call_id);

-- +goose Down
DROP TABLE call_ids;
DROP TABLE participants;
DROP TABLE recordings;
