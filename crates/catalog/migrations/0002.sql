-- 0002: skipped steps, the progress that scripts tell, terminals, repeated executions.
ALTER TABLE execution ADD COLUMN skipped_steps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN progress REAL;
ALTER TABLE execution ADD COLUMN progress_text TEXT;
ALTER TABLE execution ADD COLUMN pty INTEGER NOT NULL DEFAULT 0 CHECK (pty IN (0, 1));
ALTER TABLE execution ADD COLUMN rerun_of TEXT;
ALTER TABLE step ADD COLUMN progress REAL;
ALTER TABLE step ADD COLUMN progress_text TEXT;
