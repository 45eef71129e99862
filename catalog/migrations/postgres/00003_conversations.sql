-- +goose Up
-- A conversation is known by the key of its calls; links are what recordings of one conversation have in common.
ALTER TABLE recordings ADD COLUMN conversation TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN group_hash TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN recording_session TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN links TEXT COLLATE "C" NOT NULL DEFAULT '[]';

CREATE TABLE links (
    recording_id TEXT    COLLATE "C" NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    link         TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX links_by_link ON links (link);
CREATE INDEX recordings_by_recording_session ON recordings (recording_session) WHERE recording_session <> '';
CREATE INDEX recordings_by_tenant ON recordings (tenant, started_at DESC, id) WHERE tenant <> '';

-- +goose Down
DROP INDEX recordings_by_tenant;
DROP INDEX recordings_by_recording_session;
DROP TABLE links;
ALTER TABLE recordings DROP COLUMN links;
ALTER TABLE recordings DROP COLUMN recording_session;
ALTER TABLE recordings DROP COLUMN group_hash;
ALTER TABLE recordings DROP COLUMN conversation;
