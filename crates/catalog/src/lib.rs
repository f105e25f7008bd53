//! The catalog in SQLite: one writer thread, read pool, migrations
