//! A row of `steps`.

use serde_json::{Map, Value};
use stepflow_model::{EventKind, StepOrigin, StepStatus};

use crate::{
    convert::{cut, size},
    execution::time,
    log::LogFile,
    time::Zone,
    value::{Kept, Row},
};

/// Bytes of one step's texts and metadata; more are cut, so that a line of the journal holds them.
const TEXTS_BYTES_MAX: usize = 128 * 1024;

/// A row, read.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) index: i64,
    pub(crate) name: String,
    /// As saved; `None`: its end was not.
    pub(crate) status: Option<StepStatus>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) error: Option<String>,
    pub(crate) started_us: i64,
    pub(crate) ended_us: Option<i64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) origin: StepOrigin,
    pub(crate) log: Option<LogFile>,
    pub(crate) unreadable: u64,
    /// Made from a log without a row.
    pub(crate) found: bool,
}

impl Step {
    /// Reads a row. Times that are missing are those of `not_before`.
    pub(crate) fn read(mut row: Row, zone: &Zone, not_before: Option<i64>) -> Self {
        let mut kept = Kept::default();
        let created = time(&mut row, "created_at", zone, not_before, &mut kept);
        let started = time(&mut row, "started_at", zone, created.or(not_before), &mut kept);
        let ended_us = time(&mut row, "completed_at", zone, started.or(created), &mut kept);
        let started_us = started.or(created).or(not_before).or(ended_us).unwrap_or(0);
        let word = row.text("status").unwrap_or_default();
        let status = StepStatus::from_word(&word);
        if !status.is_some_and(StepStatus::is_end) {
            kept.unreadable += u64::from(status.is_none());
            kept.extra.insert("status".to_owned(), Value::String(word));
        }
        let mut step = Self {
            index: kept.integer(&mut row, "step_index").unwrap_or(i64::MAX),
            name: row.text("name").unwrap_or_default(),
            status: status.filter(|status| status.is_end()),
            exit_code: kept.integer(&mut row, "exit_code"),
            error: row.text("error_message"),
            started_us,
            ended_us: ended_us.map(|ended| ended.max(started_us)),
            metadata: kept.object(&mut row, "metadata"),
            origin: StepOrigin {
                id: row.text("id").unwrap_or_default(),
                created_us: created.unwrap_or(started_us),
                description: row.text("description").unwrap_or_default(),
                estimated_s: kept.float(&mut row, "estimated_duration"),
                stop_on_error: kept.flag(&mut row, "stop_on_error").unwrap_or(false),
                extra: Map::new(),
            },
            log: None,
            unreadable: 0,
            found: false,
        };
        step.origin.extra = row.rest();
        step.origin.extra.extend(kept.extra);
        step.unreadable = kept.unreadable;
        let origin = &mut step.origin;
        let texts = [&step.name, &origin.description, &origin.id].map(String::len);
        let texts: usize = texts.iter().sum::<usize>() + step.error.as_ref().map_or(0, String::len);
        if texts + size(&step.metadata) + size(&origin.extra) > TEXTS_BYTES_MAX {
            // The database that is kept has it all.
            step.unreadable += 1;
            let texts = [&mut step.name, &mut origin.description, &mut origin.id];
            texts.into_iter().for_each(cut);
            step.error.iter_mut().for_each(cut);
            step.metadata.clear();
            origin.extra.clear();
        }
        step
    }

    /// A step for a log whose row is missing.
    pub(crate) fn found(log: LogFile, started_us: i64) -> Self {
        Self {
            index: i64::from(log.index),
            name: format!("step {}", log.index),
            status: None,
            exit_code: None,
            error: None,
            started_us,
            ended_us: None,
            metadata: Map::new(),
            origin: StepOrigin {
                id: log.step.clone(),
                created_us: started_us,
                description: String::new(),
                estimated_s: None,
                stop_on_error: false,
                extra: Map::new(),
            },
            log: Some(log),
            unreadable: 0,
            found: true,
        }
    }

    /// The events of its start; it is number `number`.
    pub(crate) fn start(&mut self, number: u32) -> [EventKind; 2] {
        if self.index != i64::from(number) && self.index != i64::MAX {
            self.origin.extra.insert("step_index".to_owned(), Value::from(self.index));
        }
        [
            EventKind::StepStarted {
                step: number,
                name: std::mem::take(&mut self.name),
                parent: None,
                key: None,
                params: std::mem::take(&mut self.metadata),
                dialect: None,
                loose: false,
            },
            EventKind::StepImported { step: number, origin: Box::new(self.origin.clone()) },
        ]
    }
}
