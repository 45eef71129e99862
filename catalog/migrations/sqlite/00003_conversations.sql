-- +goose Up
-- A conversation is known by the key of its calls; links are what recordings of one conversation have in common.
ALTER TABLE recordings ADD COLUMN conversation TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN group_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN recording_session TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN links TEXT NOT NULL DEFAULT '[]';

CREATE TABLE links (
    recording_id TEXT    NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    link         TEXT    NOT NULL,
    PRIMARY KEY (recording_id, position)
);
CREATE INDEX links_by_link ON links (link);
CREATE INDEX recordings_by_recording_session ON recordings (recording_session) WHERE recording_session <> '';
CREATE INDEX recordings_by_tenant ON recordings (tenant, started_at DESC, id) WHERE tenant <> '';

UPDATE recordings SET conversation = call_key_hash, links = json_array(call_key_hash) WHERE call_key_hash <> '';
INSERT INTO links (recording_id, position, link) SELECT id, 0, call_key_hash FROM recordings WHERE call_key_hash <> '';

-- Identifiers of hexadecimal digits are searched without regard to case and hyphens.
UPDATE call_ids SET call_id = replace(lower(call_id), '-', '')
    WHERE call_id NOT GLOB '*[^-0-9a-fA-F]*' AND length(replace(call_id, '-', '')) >= 16;

-- +goose Down
DROP INDEX recordings_by_tenant;
DROP INDEX recordings_by_recording_session;
DROP TABLE links;
ALTER TABLE recordings DROP COLUMN links;
ALTER TABLE recordings DROP COLUMN recording_session;
ALTER TABLE recordings DROP COLUMN group_hash;
ALTER TABLE recordings DROP COLUMN conversation;
