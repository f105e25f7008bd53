//! What others know of a run: how long it took before, where a page shows it.

use std::{
    fs,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use stepflow_api::Usual;
use stepflow_catalog::{Pass, Reader};
use stepflow_model::{ExecutionState, Spec};
use stepflow_record::Storage;
use stepflow_server::{PASSES, usual};
use stepflow_sys::host::SocketDir;

/// In the run directory: the address at which the server of this storage is reached.
pub const ADDRESS_FILE: &str = "server.url";

/// At the end of a run nobody is waited for longer than this.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

type Answer = (Vec<Pass>, Option<String>);

/// Asked in a thread of its own: a catalog on a slow disk must not hold up the first frame.
#[derive(Debug)]
pub struct Known {
    answer: Receiver<Answer>,
    heard: bool,
    passes: Vec<Pass>,
    page: Option<String>,
    /// For so many steps.
    usual: Option<(usize, Usual)>,
}

impl Known {
    /// Begins to ask.
    pub fn ask(storage: &Storage, spec: &Spec) -> Self {
        let (tell, answer) = mpsc::sync_channel(1);
        let (storage, name, before) =
            (storage.clone(), spec.name.clone(), (spec.created_us, spec.id));
        // Without a thread nothing is known, and nothing else is lost.
        let _ = thread::Builder::new().name("known".to_owned()).spawn(move || {
            let passes = Reader::open_existing(&storage.database())
                .and_then(|reader| reader.passes(&name, before, PASSES))
                .unwrap_or_default();
            let page = address(&storage).map(|url| format!("{url}/executions/{}", before.1));
            let _ = tell.send((passes, page));
        });
        Self { answer, heard: false, passes: Vec::new(), page: None, usual: None }
    }

    fn hear(&mut self) {
        if let Ok(answer) = self.answer.try_recv() {
            self.take(answer);
        }
    }

    fn take(&mut self, (passes, page): Answer) {
        self.passes = passes;
        self.page = page;
        self.usual = None;
        self.heard = true;
    }

    /// Where a page shows it; waits a moment for who was asked.
    pub fn page_at_last(&mut self) -> Option<&str> {
        if !self.heard
            && let Ok(answer) = self.answer.recv_timeout(ANSWER_WITHIN)
        {
            self.take(answer);
        }
        self.page.as_deref()
    }

    /// Where a page shows it, as far as is known yet.
    pub fn page(&mut self) -> Option<&str> {
        self.hear();
        self.page.as_deref()
    }

    /// How long this step usually takes, in microseconds.
    pub fn usual_us(&mut self, state: &ExecutionState, step: u32) -> Option<u64> {
        self.hear();
        if self.passes.is_empty() {
            return None;
        }
        let count = state.steps.len();
        if self.usual.as_ref().is_none_or(|(steps, _)| *steps != count) {
            self.usual = Some((count, usual(&self.passes, &state.steps)));
        }
        let known = &self.usual.as_ref()?.1.steps;
        let found = known.iter().find(|known| known.step == Some(step))?;
        Some((found.seconds * 1e6) as u64)
    }
}

/// The address of the server of this storage, if one listens.
pub fn address(storage: &Storage) -> Option<String> {
    let url = fs::read_to_string(storage.run_dir().join(ADDRESS_FILE)).ok()?;
    // A file that a dead server has left says nothing: only one that listens is believed.
    SocketDir::open(&storage.run_dir()).ok()?.connect("server.sock").ok()?;
    Some(url.trim().to_owned()).filter(|url| url.starts_with("http"))
}
