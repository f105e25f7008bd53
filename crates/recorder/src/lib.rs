//! Records one script: spawn, read, mask, append, enforce, reap
