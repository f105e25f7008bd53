//! Views of logs, kept while somebody looks: opened at the first question, scanned up to what is
//! recorded at each one.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use stepflow_engine::Handle;
use stepflow_model::ExecutionId;
use stepflow_view::View;

use crate::{app::App, problem::Problem};

/// Views that stay open; the one asked longest ago goes first. Each holds about 1 MiB.
const OPEN_MAX: usize = 32;
/// A question waits no longer than this for the scan; what is known then is the answer.
const SCAN_WITHIN: Duration = Duration::from_millis(150);
/// In the background the view is let go this often, so that questions are answered meanwhile.
const SLICE: Duration = Duration::from_millis(40);

/// The open views.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<VecDeque<Arc<Slot>>>);

#[derive(Debug)]
struct Slot {
    id: ExecutionId,
    opened: Mutex<Opened>,
    /// Somebody scans the rest in the background.
    scanning: AtomicBool,
}

#[derive(Debug, Default)]
struct Opened {
    view: Option<View>,
    /// The execution had ended when it was opened.
    ended: bool,
}

impl Views {
    fn slot(&self, id: ExecutionId) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match slots.iter().position(|slot| slot.id == id) {
            Some(at) => slots.remove(at),
            None => None,
        };
        let slot = slot.unwrap_or_else(|| {
            Arc::new(Slot { id, opened: Mutex::default(), scanning: AtomicBool::new(false) })
        });
        slots.push_back(Arc::clone(&slot));
        if slots.len() > OPEN_MAX {
            slots.pop_front();
        }
        slot
    }
}

/// Asks the view of an execution's log, on a blocking thread. `question` is told whether all that
/// is recorded has been scanned; `None` before the recorder has made a log.
pub(crate) async fn ask<T: Send + 'static>(
    app: &App,
    handle: &Arc<Handle>,
    question: impl FnOnce(Option<&View>, bool) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let slot = app.views.slot(handle.id());
    let storage = app.engine.storage().clone();
    let (asked, handle) = (Arc::clone(&slot), Arc::clone(handle));
    let answer = tokio::task::spawn_blocking(move || {
        let ended = handle.read(|state| state.summary.status.is_end());
        let mut opened = asked.lock();
        // A record may have been mended when its end was written: look at it as it is now.
        if opened.view.is_none() || (ended && !opened.ended) {
            let dir = storage.record_dir(handle.id());
            opened.view = View::open(&dir, &storage.view_cache(handle.id()))?;
            opened.ended = ended;
        }
        let Some(view) = &mut opened.view else { return Ok((question(None, true)?, true)) };
        let until = Instant::now() + SCAN_WITHIN;
        let complete = view.advance(&mut || Instant::now() < until)?;
        Ok((question(Some(view), complete)?, complete))
    });
    let (answer, complete) = answer.await.unwrap_or_else(|_| Err(Problem::closing()))?;
    if !complete && !slot.scanning.swap(true, Ordering::AcqRel) {
        let app = app.clone();
        let tasks = app.tasks.clone();
        tasks.spawn_blocking(move || scan(&app, &slot));
    }
    Ok(answer)
}

/// Scans what is recorded, slice by slice.
fn scan(app: &App, slot: &Slot) {
    while !app.over.is_cancelled() {
        let until = Instant::now() + SLICE;
        let done = match &mut slot.lock().view {
            Some(view) => view.advance(&mut || Instant::now() < until).unwrap_or(true),
            None => true,
        };
        if done {
            break;
        }
        // Locks are not fair: whoever waits gets a turn.
        std::thread::sleep(Duration::from_millis(1));
    }
    slot.scanning.store(false, Ordering::Release);
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Opened> {
        // A scan that panicked leaves a view that is thrown away.
        self.opened.lock().unwrap_or_else(|poisoned| {
            let mut opened = poisoned.into_inner();
            *opened = Opened::default();
            self.opened.clear_poison();
            opened
        })
    }
}
