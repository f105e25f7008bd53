-- More ways in than `cli` and `server`: the words of `source` are the program's, which refuses a word
-- that it does not know when it reads the row. A column takes its own CHECK with it; rebuilding the
-- table instead would mean dropping it under its steps and artifacts.
ALTER TABLE execution ADD COLUMN way_in TEXT NOT NULL DEFAULT 'cli';
UPDATE execution SET way_in = source;
ALTER TABLE execution DROP COLUMN source;
ALTER TABLE execution RENAME COLUMN way_in TO source;
