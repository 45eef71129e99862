-- +goose Up
-- What only one process at a time may do, of those that share the catalog: who does it, and until when nobody else may.
CREATE TABLE leases (
    name    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    holder  TEXT   COLLATE "C" NOT NULL,
    ends_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE leases;
