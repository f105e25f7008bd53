//! Steps as groups of a CI system's log: which of them are open, and what opens and closes them.

use stepflow_model::{Step, StepStatus};

use super::ci::Ci;
use crate::{format::clean, text::text};

/// The groups of one log.
pub struct Groups {
    pub ci: Ci,
    /// Open ones, outermost first: the step, its title and id in the log.
    open: Vec<(u32, String, String)>,
    /// How often a step's group was opened.
    times: Vec<u32>,
    count: u32,
    /// Lines that follow stand outside of all groups, and that has been said.
    outside: bool,
}

impl Groups {
    pub fn new(ci: Ci) -> Self {
        Self { ci, open: Vec::new(), times: Vec::new(), count: 0, outside: true }
    }

    /// What to print so that the next line stands in the group of `owner`.
    pub fn inside(&mut self, owner: Option<u32>, steps: &[Step], time_s: i64) -> String {
        let mut wanted = Vec::new();
        let mut at = owner;
        while let Some(step) = at.and_then(|at| steps.get(at as usize)) {
            wanted.insert(0, step.index);
            at = step.parent.filter(|_| self.ci.nests());
        }
        let same =
            self.open.iter().zip(&wanted).take_while(|(open, step)| open.0 == **step).count();
        let mut said = self.close_to(same, time_s);
        if wanted.is_empty() {
            if !std::mem::replace(&mut self.outside, true) {
                push(&mut said, self.ci.outside());
            }
            return said;
        }
        for step in &wanted[same..] {
            let title = self.title(*step, steps);
            self.count += 1;
            let id = format!("stepflow_{}", self.count);
            push(&mut said, Some(&self.ci.open(&title, &id, time_s)));
            self.open.push((*step, title, id));
            self.outside = false;
        }
        said
    }

    /// What to print when `step` has ended; `line` tells of it.
    pub fn finished(&mut self, step: &Step, steps: &[Step], line: &str, time_s: i64) -> String {
        let failed = step.status == StepStatus::Failed;
        let mut said = String::new();
        let at = self.open.iter().position(|open| open.0 == step.index);
        if failed && at.is_some() {
            push(&mut said, self.ci.unfold());
        }
        // Inside, its last line tells how it went; that of one without lines stands alone.
        push(&mut said, Some(line));
        if let Some(at) = at {
            said.push_str(&self.close_to(at, time_s));
        }
        if failed {
            let title = path(step, steps);
            let why = match (&step.error, step.exit_code) {
                (Some(error), _) => clean(error.as_bytes(), false),
                (None, Some(code)) => (text().exit)(code),
                (None, None) => text().failed.to_owned(),
            };
            push(&mut said, self.ci.error(&title, &why).as_deref());
        }
        said
    }

    /// What to print at the end.
    pub fn close_all(&mut self, time_s: i64) -> String {
        self.inside(None, &[], time_s)
    }

    fn close_to(&mut self, left: usize, time_s: i64) -> String {
        let mut said = String::new();
        while self.open.len() > left {
            let Some((_, title, id)) = self.open.pop() else { break };
            push(&mut said, self.ci.close(&title, &id, time_s).as_deref());
        }
        said
    }

    fn title(&mut self, step: u32, steps: &[Step]) -> String {
        let at = step as usize;
        if self.times.len() <= at {
            self.times.resize(at + 1, 0);
        }
        self.times[at] += 1;
        let step = &steps[at];
        let title =
            if self.ci.nests() { clean(step.name.as_bytes(), false) } else { path(step, steps) };
        if self.times[at] > 1 { (text().goes_on)(&title) } else { title }
    }
}

/// `Test / unit`.
fn path(step: &Step, steps: &[Step]) -> String {
    let mut names = vec![clean(step.name.as_bytes(), false)];
    let mut at = step.parent;
    while let Some(parent) = at.and_then(|at| steps.get(at as usize)) {
        names.insert(0, clean(parent.name.as_bytes(), false));
        at = parent.parent;
    }
    names.join(" / ")
}

fn push(said: &mut String, line: Option<&str>) {
    if let Some(line) = line {
        said.push_str(line);
        said.push('\n');
    }
}
