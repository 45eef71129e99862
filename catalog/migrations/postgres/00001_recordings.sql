-- +goose Up
CREATE TABLE recordings (
    id               TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    state            TEXT    COLLATE "C" NOT NULL,
    class            TEXT    COLLATE "C" NOT NULL,
    rule             TEXT    COLLATE "C" NOT NULL,
    reason           TEXT    COLLATE "C" NOT NULL,
    detail           TEXT    COLLATE "C" NOT NULL,
    policy_digest    TEXT    COLLATE "C" NOT NULL,
    src              TEXT    COLLATE "C" NOT NULL,
    tenant           TEXT    COLLATE "C" NOT NULL,
    call_key_hash    TEXT    COLLATE "C" NOT NULL,
    started_at       BIGINT  NOT NULL,
    ended_at         BIGINT  NOT NULL,
    duration_ms      BIGINT  NOT NULL,
    channels         TEXT    COLLATE "C" NOT NULL,
    participants     TEXT    COLLATE "C" NOT NULL,
    call_ids         TEXT    COLLATE "C" NOT NULL,
    audio            TEXT    COLLATE "C" NOT NULL,
    sidecar          TEXT    COLLATE "C" NOT NULL,
    lock_mode        TEXT    COLLATE "C" NOT NULL,
    locked_until     BIGINT  NOT NULL,
    quarantine_until BIGINT  NOT NULL,
    retain_until     BIGINT  NOT NULL,
    gaps             BIGINT  NOT NULL,
    gaps_ms          BIGINT  NOT NULL,
    pauses           BIGINT  NOT NULL,
    pauses_ms        BIGINT  NOT NULL,
    end_cause        TEXT    COLLATE "C" NOT NULL,
    warnings         TEXT    COLLATE "C" NOT NULL,
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL
);
CREATE INDEX recordings_by_start ON recordings (started_at DESC, id);
CREATE INDEX recordings_by_state ON recordings (state);
CREATE INDEX recordings_by_class ON recordings (class, started_at DESC, id);

CREATE TABLE participants (
    recording_id TEXT    COLLATE "C" NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    search       TEXT    COLLATE "C" NOT NULL,
    number       TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX participants_by_number ON participants (number);

CREATE TABLE call_ids (
    recording_id TEXT    COLLATE "C" NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    call_id      TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX call_ids_by_id ON call_ids (call_id);

-- +goose Down
DROP TABLE call_ids;
DROP TABLE participants;
DROP TABLE recordings;
