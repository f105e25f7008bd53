-- 0008: each row carries a checksum of itself (`src/seal.rs`), so that a changed bit is not taken for
-- what was written: SQLite has none. Null: written before, until the row is written again.
ALTER TABLE execution    ADD COLUMN crc INTEGER;
ALTER TABLE step         ADD COLUMN crc INTEGER;
ALTER TABLE artifact     ADD COLUMN crc INTEGER;
ALTER TABLE token        ADD COLUMN crc INTEGER;
ALTER TABLE session      ADD COLUMN crc INTEGER;
ALTER TABLE saved_search ADD COLUMN crc INTEGER;
