//! A record on disk: spec, output, index, journal, notes
