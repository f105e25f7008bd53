//! The end: whole, synced, before anybody hears of it.

use std::{fs::File, time::Duration};

use stepflow_model::{EventKind, steps};
use stepflow_sys::tree;

use super::{RETRY_US, Session, files};

impl Session {
    pub(super) fn outcome(&self) -> steps::Outcome {
        let (exit_code, signal, core) =
            self.main_status.map_or((None, None, false), tree::decode_status);
        let stopped = self.life.stopped().cloned();
        steps::Outcome { exit_code, signal, core, stopped, start_error: None }
    }

    /// Records the end: whole, synced, before anybody hears of it.
    pub(super) fn end(&mut self, outcome: &steps::Outcome) {
        for at in 0..self.sources.len() {
            if !std::mem::replace(&mut self.sources[at].ended, true) {
                self.recording.end_stream(self.sources[at].stream);
            }
        }
        if self.recording.is_blocked() {
            return; // The disk is full: the end waits for space, like everything.
        }
        // What was printed last is shown now: the syncs below take their time.
        self.recording.close_entry();
        let position = self.position();
        self.doorbell.ring(&position);
        if !self.life.tree_empty() {
            // A look through all of /proc, which hundreds of scripts that end at once would feel.
            for process in tree::members(self.root(), self.group.as_ref()) {
                let name = format!("{} ({})", process.name, process.pid);
                // One that was signalled has closed the output, and may not be quite gone yet.
                if !self.leftover.contains(&name) {
                    self.leftover.push(format!("{name}, still running"));
                }
            }
        }
        self.tell_of_memory();
        let mut outcome = outcome.clone();
        if let Some(loss) = self.recording.tell_of_loss() {
            outcome.stopped.get_or_insert(loss); // Never complete with a hole, whatever the script says.
        }
        let verdict = steps::verdict(&outcome);
        self.hint_at_terminal(&verdict);
        let results = std::mem::take(&mut self.results);
        self.recording.say_results(results);
        // Once: they are gone then.
        let said = files::collect(&self.dir, &self.spec);
        self.recording.say(said);
        let verdicts = self.recording.settle(&verdict, outcome.exit_code);
        let state = &self.recording.state;
        for kind in steps::finish(state, &verdict, outcome.exit_code, &verdicts) {
            self.recording.emit(kind);
        }
        // The output before the end that tells of it; the journal goes with the end.
        self.recording.sync_output(&mut self.durable);
        if self.recording.is_blocked() {
            return;
        }
        let journal = self.recording.journal.size().ok();
        let index = journal.and_then(|size| self.recording.writer.short_index(size));
        self.recording.emit(EventKind::Exited {
            status: verdict.status,
            reason: verdict.reason,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            core: outcome.core,
            message: verdict.message,
            digest: self.recording.writer.digest(),
            index: index.clone(),
            leftover: std::mem::take(&mut self.leftover),
        });
        // A full disk may hold the last line back: nothing else is left to do than to get it out.
        while self.recording.is_blocked() {
            std::thread::sleep(Duration::from_micros(RETRY_US));
            self.recording.retry();
        }
        self.recording.sync_end(&mut self.durable);
        self.recording.give_reserve_back();
        // The end has it, and is safe from a power cut; or both stay.
        if index.is_some() && !self.durable.has_failed() && !self.recording.is_blocked() {
            self.recording.writer.remove_index();
        }
        let _ = File::open(&self.dir).and_then(|dir| dir.sync_all());
    }
}
