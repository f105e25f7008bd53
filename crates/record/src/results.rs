//! Which tests a record tells of: made from its journal when somebody asks.

use std::path::PathBuf;

use stepflow_model::{
    EventKind, ExecutionId, Test,
    results::{Results, TestRow},
};

use crate::{JournalReader, RecordError, Storage};

/// The tests of one record, followed.
#[derive(Debug)]
pub struct ResultsView {
    dir: PathBuf,
    journal: Option<JournalReader>,
    results: Results,
    seq: u64,
}

impl ResultsView {
    /// Reads nothing yet.
    pub fn new(storage: &Storage, id: ExecutionId) -> Self {
        let dir = storage.record_dir(id);
        Self { dir, journal: None, results: Results::default(), seq: 0 }
    }

    /// Reads what is new.
    pub fn refresh(&mut self) -> Result<(), RecordError> {
        if self.journal.is_none() {
            self.journal = JournalReader::open(&self.dir)?;
        }
        let Some(journal) = &mut self.journal else { return Ok(()) };
        loop {
            let events = journal.read_new()?;
            let Some(last) = events.last() else { return Ok(()) };
            let ended = matches!(last.kind, EventKind::Exited { .. });
            for event in events.iter().filter(|event| event.seq > self.seq) {
                self.results.apply(event);
            }
            self.seq = self.seq.max(last.seq);
            if ended {
                self.results.lines_of_files();
            }
        }
    }

    /// What has been read.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// The number of the last event that has been read.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Every try of one test, in order, with the log's line that tells of it. Reads the journal anew.
    pub fn tries(&self, row: &TestRow) -> Result<Vec<(u64, Test)>, RecordError> {
        let Some(mut journal) = JournalReader::open(&self.dir)? else { return Ok(Vec::new()) };
        let mut tries = Vec::new();
        loop {
            let events = journal.read_new()?;
            if events.is_empty() {
                return Ok(tries);
            }
            for event in events {
                let EventKind::Test(test) = event.kind else { continue };
                let is_it = test.dialect == *row.dialect
                    && test.step == row.step
                    && test.suite.as_deref() == row.suite.as_deref()
                    && test.name == *row.name;
                if !is_it || event.seq > row.seq {
                    continue;
                }
                // One that is no further try is another test of the same name.
                if test.attempt.is_none_or(|attempt| attempt <= 1) {
                    tries.clear();
                }
                tries.push((event.lines + 1, *test));
                if event.seq == row.seq {
                    return Ok(tries);
                }
            }
        }
    }
}

/// The tests of a record as it is now.
pub fn read_results(storage: &Storage, id: ExecutionId) -> Result<Results, RecordError> {
    let mut view = ResultsView::new(storage, id);
    view.refresh()?;
    Ok(view.results)
}
