//! The rows and logs of one execution become its record.

use std::{
    collections::HashMap,
    io,
    path::{Component, Path},
    vec,
};

use serde_json::{Map, Value};
use stepflow_model::{EventKind, ExecutionState, Repairs, Status, StepStatus};
use stepflow_record::{RecordView, Storage, WholeBuffers, WholeRecord};

use crate::{
    UpgradeError,
    artifact::Artifact,
    execution::{Execution, id_of},
    log::{Listing, LogLine, for_each_line, parse_line},
    plan,
    rows::Job,
    step::Step,
    time::Zone,
};

/// What every conversion needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) storage: &'a Storage,
    pub(crate) zone: &'a Zone,
}

/// Memory that one conversion leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    record: WholeBuffers,
    line: Vec<u8>,
    file: Vec<u8>,
}

/// Writes the record of one execution, unsynced, and returns its state. `None`: a record with this
/// id is there which was not imported; it stays.
pub(crate) fn convert(
    job: Job,
    context: Context<'_>,
    memory: &mut Memory,
) -> Result<Option<ExecutionState>, UpgradeError> {
    let zone = context.zone;
    let mut listing = listing(context.storage, &job.id)?;
    if listing.has_spec {
        if is_ours(context.storage, &job.id) {
            return Ok(None);
        }
        // Written over from here on: what is torn must not look whole.
        plan::remove(&context.storage.record_dir(id_of(&job.id)).join("spec.json"))?;
    }
    let mut steps: Vec<Step> = Vec::with_capacity(job.steps.len());
    for row in job.steps {
        let before = steps.last().map(|step| step.started_us);
        steps.push(Step::read(row, zone, before));
    }
    let before = steps.first().map(|step| step.started_us);
    let artifacts: Vec<Artifact> =
        job.artifacts.into_iter().map(|row| Artifact::read(row, zone, before)).collect();
    let signs = steps.iter().map(|step| step.origin.created_us);
    let first_sign = signs.chain(artifacts.iter().map(|artifact| artifact.created_us)).min();
    let execution = Execution::read(job.execution, &job.id, zone, first_sign);

    for step in &mut steps {
        step.log = listing.take(&step.origin.id);
    }
    for log in listing.logs {
        let started = first_time(&log.path, zone, &mut memory.line);
        steps.push(Step::found(log, started.unwrap_or(execution.spec.created_us)));
    }
    steps.sort_by_key(|step| (step.index, step.started_us));

    let first_step = steps.first().map(|step| step.started_us);
    // With a step, the script has run, whether or not the original came to saying so.
    let started_us = execution.started_us.or(first_step);
    let base_us = [Some(execution.spec.created_us), started_us, first_step];
    let base_us = base_us.into_iter().flatten().min().unwrap_or_default();
    let numbers = steps.iter().enumerate();
    let making = Making {
        context,
        numbers: numbers.map(|(number, step)| (step.origin.id.clone(), number as u32)).collect(),
        record: WholeRecord::begin(context.storage, &execution.spec, base_us, &mut memory.record)?,
        repairs: execution.origin.repairs.clone(),
        last_us: execution.spec.created_us,
        artifacts: artifacts.into_iter(),
        next: None,
        declared: 0,
        line: &mut memory.line,
        file: &mut memory.file,
    };
    making.write(execution, steps, started_us).map(Some)
}

/// The step logs of an execution. The id was read from a database: only a plain name is a path.
fn listing(storage: &Storage, id: &str) -> Result<Listing, UpgradeError> {
    let mut parts = Path::new(id).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Ok(Listing::default());
    }
    let dir = storage.root().join("executions").join(id);
    match Listing::read(&dir) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Listing::default()),
        listing => listing.map_err(UpgradeError::io("list", &dir)),
    }
}

/// Whether the record that is there is one of our own, not one that was imported before, perhaps in
/// part. The original's ids are random; ours begin with a time and say so.
fn is_ours(storage: &Storage, id: &str) -> bool {
    let id = id_of(id);
    id.as_bytes()[6] >> 4 == 7
        && RecordView::open(storage, id).is_ok_and(|view| view.state.summary.origin.is_none())
}

/// The time of a log's first line.
fn first_time(path: &Path, zone: &Zone, buffer: &mut Vec<u8>) -> Option<i64> {
    let found = for_each_line(path, buffer, |line| match parse_line(line) {
        LogLine::Entry(time, _) => match zone.instant(time, None) {
            Some(time) => Err(time),
            None => Ok(()),
        },
        _ => Ok(()),
    });
    found.ok()?.err()
}

/// A record being written.
struct Making<'a> {
    context: Context<'a>,
    record: WholeRecord<'a>,
    repairs: Repairs,
    /// The latest time that anything tells of.
    last_us: i64,
    /// Numbers of steps by their ids.
    numbers: HashMap<String, u32>,
    artifacts: vec::IntoIter<Artifact>,
    /// Comes when its time comes.
    next: Option<Artifact>,
    declared: u32,
    line: &'a mut Vec<u8>,
    file: &'a mut Vec<u8>,
}

impl Making<'_> {
    fn write(
        mut self,
        mut execution: Execution,
        mut steps: Vec<Step>,
        started_us: Option<i64>,
    ) -> Result<ExecutionState, UpgradeError> {
        if let Some(started) = started_us {
            self.event(started_event(), started)?;
        }
        self.next = self.artifacts.next();
        let count = steps.len();
        let starts: Vec<i64> = steps.iter().map(|step| step.started_us).collect();
        for (number, step) in steps.iter_mut().enumerate() {
            self.repairs.steps_found += u64::from(step.found);
            self.repairs.values_unreadable += step.unreadable;
            self.artifacts_until(step.started_us)?;
            for kind in step.start(number as u32) {
                self.event(kind, step.started_us)?;
            }
            self.lines(step)?;
            let follower = starts.get(number + 1).copied();
            let (kind, at) = self.step_end(&execution, step, number as u32, follower);
            self.artifacts_until(at)?;
            self.event(kind, at)?;
        }
        self.artifacts_until(i64::MAX)?;
        debug_assert_eq!(self.record.state().steps.len(), count);

        let ended = execution.ended_us.unwrap_or(self.last_us).max(started_us.unwrap_or(i64::MIN));
        for (code, message) in self.warnings() {
            let kind = EventKind::Warning { code: code.to_owned(), message };
            self.event(kind, ended)?;
        }
        self.keep_counts(&mut execution);
        execution.origin.repairs = self.repairs.clone();
        self.event(EventKind::Imported { origin: Box::new(execution.origin) }, ended)?;
        let digest = self.record.digest()?;
        let exited = EventKind::Exited {
            status: execution.status,
            reason: execution.reason,
            exit_code: execution.exit_code,
            signal: execution.exit_code.filter(|code| *code < 0).and_then(i32::checked_neg),
            core: false,
            message: execution.message,
            digest,
            index: None,
            leftover: Vec::new(),
        };
        self.event(exited, ended)?;
        Ok(self.record.finish()?)
    }

    fn event(&mut self, kind: EventKind, at: i64) -> Result<(), UpgradeError> {
        self.last_us = self.last_us.max(at);
        Ok(self.record.event(kind, at)?)
    }

    /// Declares the artifacts whose time has come.
    fn artifacts_until(&mut self, until: i64) -> Result<(), UpgradeError> {
        while let Some(artifact) = self.next.take_if(|artifact| artifact.created_us <= until) {
            let number = self.declared;
            self.declared += 1;
            self.repairs.values_unreadable += artifact.unreadable;
            let step = artifact.origin.step_id.as_ref().and_then(|id| self.numbers.get(id));
            for kind in artifact.declaration(number, step.copied()) {
                self.event(kind, artifact.created_us)?;
            }
            let execution = self.record.state().summary.id;
            let stored = artifact.store(number, self.context.storage, execution, self.file)?;
            self.event(stored, artifact.created_us)?;
            self.next = self.artifacts.next();
        }
        Ok(())
    }

    /// Appends a step's log.
    fn lines(&mut self, step: &mut Step) -> Result<(), UpgradeError> {
        let Some(log) = step.log.take() else { return Ok(()) };
        let mut line = std::mem::take(self.line);
        let mut last = step.started_us;
        let read = for_each_line(&log.path, &mut line, |line| {
            let (time, text) = match parse_line(line) {
                LogLine::Nothing => return Ok(()),
                LogLine::Entry(time, text) => match self.context.zone.instant(time, Some(last)) {
                    Some(time) => (Some(time), text),
                    // The original shows the whole line then.
                    None => (None, line.trim_ascii()),
                },
                LogLine::Other(text) => (None, text),
            };
            self.repairs.lines_without_time += u64::from(time.is_none());
            last = time.unwrap_or(last);
            self.last_us = self.last_us.max(last);
            self.artifacts_until(last)?;
            Ok(self.record.line(text, last.saturating_mul(1_000))?)
        });
        *self.line = line;
        match read {
            Ok(written) => written,
            // Asked again with the right to read it, it will be there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(UpgradeError::io("read", &log.path)(error))
            }
            Err(_) => {
                self.repairs.logs_unreadable += 1;
                Ok(())
            }
        }
    }

    /// The event of a step's end, and its time. What the original did not save follows from what it
    /// did: a step that another one follows had completed, the last one ended with the script.
    fn step_end(
        &mut self,
        execution: &Execution,
        step: &Step,
        number: u32,
        follower: Option<i64>,
    ) -> (EventKind, i64) {
        let finished = |status, exit_code, error| EventKind::StepFinished {
            step: number,
            status,
            exit_code,
            error,
            by: "import".to_owned(),
            detail: None,
            done: false,
        };
        if let Some(status) = step.status {
            let at = step.ended_us.or(follower).or(execution.ended_us).unwrap_or(self.last_us);
            let kind = finished(status, step.exit_code, step.error.clone());
            return (kind, at.max(step.started_us));
        }
        self.repairs.steps_closed += 1;
        let error = step.error.clone();
        let kind = match (follower, execution.status) {
            (Some(_), _) | (None, Status::Completed) => {
                finished(StepStatus::Completed, step.exit_code.or(Some(0)), error)
            }
            (None, Status::Cancelled) => finished(StepStatus::Cancelled, step.exit_code, error),
            (None, _) => {
                let code = critical_code(execution.message.as_deref()).or(execution.exit_code);
                let error = error.or_else(|| execution.message.clone());
                finished(StepStatus::Failed, step.exit_code.or(code), error)
            }
        };
        let at = step.ended_us.or(follower).or(execution.ended_us).unwrap_or(self.last_us);
        (kind, at.max(step.started_us))
    }

    /// What people should know of the import.
    fn warnings(&self) -> Vec<(&'static str, String)> {
        let repairs = &self.repairs;
        let mut said = Vec::new();
        if repairs.interrupted {
            said.push((
                "import_interrupted",
                "in the original's database it had no end: it counts as failed at its last sign of \
                 life"
                    .to_owned(),
            ));
        }
        if repairs.row_missing {
            said.push(("import_row_missing", "the original saved only its steps".to_owned()));
        }
        let mut count = |number: u64, code, one: &str, many: &str| match number {
            0 => {}
            1 => said.push((code, one.to_owned())),
            number => said.push((code, format!("{number} {many}"))),
        };
        if !repairs.interrupted {
            count(
                repairs.steps_closed,
                "import_step_closed",
                "the original never saved the end, and the lines, of one step: it counts as ended \
                 with what followed it",
                "steps have no end, and no lines, in the original's storage: they count as ended \
                 with what followed them",
            );
        }
        count(
            repairs.steps_found,
            "import_step_found",
            "a step's log was there without the step",
            "logs of steps were there without the steps",
        );
        count(
            repairs.lines_without_time,
            "import_line_without_time",
            "a line of its logs has no time: it has that of the line before",
            "lines of its logs have no time: they have that of the line before",
        );
        count(
            repairs.logs_unreadable,
            "import_log_unreadable",
            "a step's log could not be read to its end",
            "logs of steps could not be read to their end",
        );
        count(
            repairs.values_unreadable,
            "import_value_unreadable",
            "a value in the original's database is not what its column holds; its text is kept",
            "values in the original's database are not what their columns hold; their texts are kept",
        );
        said
    }

    /// Keeps the original's counts where ours differ.
    fn keep_counts(&self, execution: &mut Execution) {
        let summary = &self.record.state().summary;
        let ours = [
            ("total_steps", i64::from(summary.total_steps)),
            ("completed_steps", i64::from(summary.completed_steps)),
            ("current_step_index", summary.current_step.map_or(-1, i64::from)),
        ];
        for ((name, ours), theirs) in ours.into_iter().zip(execution.counted) {
            if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
                execution.origin.extra.insert(name.to_owned(), Value::from(theirs));
            }
        }
    }
}

/// Nothing is known of the processes.
fn started_event() -> EventKind {
    EventKind::Started {
        pid: 0,
        start_ticks: 0,
        boot_id: String::new(),
        recorder_pid: 0,
        keeper_pid: 0,
        containment: String::new(),
        cgroup: None,
        host: String::new(),
    }
}

/// The script's exit code, which the original replaced by 1, from its message.
fn critical_code(message: Option<&str>) -> Option<i32> {
    let rest = message?.strip_prefix("Critical step failed with exit code ")?;
    rest.split(':').next()?.trim().parse().ok()
}

/// About the bytes that an object takes.
pub(crate) fn size(object: &Map<String, Value>) -> usize {
    if object.is_empty() { 0 } else { serde_json::to_string(object).map_or(0, |text| text.len()) }
}

/// Cuts a text of a size that no text has.
pub(crate) fn cut(text: &mut String) {
    const BYTES: usize = 4096;
    if text.len() > BYTES {
        let cut = (0..=BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
}
