//! Records: what is unfinished, dead, or not as the catalog has it.

use std::{collections::HashMap, thread, time::Duration};

use stepflow_catalog::Inspection;
use stepflow_model::ExecutionId;
use stepflow_record::{Liveness, RecordView, Storage};
use stepflow_sys::host;

use super::{Report, s};
use crate::{failure::chain, format::count, text::found};

/// A running server writes a verdict within this time.
const VERDICT_WITHIN: Duration = Duration::from_secs(3);
/// Named in one line.
const NAMED: usize = 5;

/// Compares markers, records and catalog.
pub(super) fn check(
    storage: &Storage,
    catalog: Option<&Inspection>,
    server: bool,
    report: &mut Report,
) {
    open(storage, server, report);
    if let Some(catalog) = catalog {
        drift(storage, catalog, server, report);
    }
}

#[derive(Default)]
struct Open {
    alive: usize,
    waiting: usize,
    ended: usize,
    dead: Vec<(ExecutionId, String)>,
    unreadable: Vec<(ExecutionId, String)>,
}

fn look(storage: &Storage) -> Open {
    let mut open = Open::default();
    for id in storage.open_executions().unwrap_or_default() {
        let looked = RecordView::open(storage, id).and_then(|mut view| {
            let liveness = view.liveness()?;
            Ok((view, liveness))
        });
        match looked {
            Ok((_, Liveness::Alive)) => open.alive += 1,
            Ok((_, Liveness::Ended)) => open.ended += 1,
            Ok((view, Liveness::Lost)) => {
                let here = host::boot_id();
                let restarted = view.state.boot_id.as_ref().is_some_and(|boot| *boot != here);
                let why = if restarted { found::host_restarted() } else { found::recorder_gone() };
                open.dead.push((id, why));
            }
            Ok((_, Liveness::Unstarted)) => open.waiting += 1,
            Err(error) => open.unreadable.push((id, chain(&error))),
        }
    }
    open
}

fn open(storage: &Storage, server: bool, report: &mut Report) {
    let mut open = look(storage);
    if server && !open.dead.is_empty() {
        thread::sleep(VERDICT_WITHIN); // It may just have happened.
        open = look(storage);
    }
    let detail = found::open_records(open.alive, open.waiting, open.ended);
    if open.waiting > 0 && !server {
        report.warn("records.open", detail, found::nobody_starts());
    } else {
        report.ok("records.open", detail);
    }
    if open.dead.is_empty() {
        report.ok("records.dead", found::none_dead());
    } else {
        let detail = found::dead(
            found::executions(count(open.dead.len() as u64), s(open.dead.len())),
            named(open.dead.iter().map(|(id, why)| format!("{id}: {why}"))),
        );
        if server {
            report.fail("records.dead", detail, found::server_should_end());
        } else {
            report.warn("records.dead", detail, found::ls_ends_them());
        }
    }
    if !open.unreadable.is_empty() {
        report.fail(
            "records.unreadable",
            named(open.unreadable.iter().map(|(id, why)| format!("{id}: {why}"))),
            found::unreadable(),
        );
    }
}

/// The first few, and how many more.
fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut text = all.take(NAMED).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&found::and_more(more));
    }
    text
}

fn drift(storage: &Storage, catalog: &Inspection, server: bool, report: &mut Report) {
    // The catalog first: a record that is made in between is then not missed in it.
    let rows: HashMap<ExecutionId, bool> = match catalog.executions() {
        Ok(rows) => rows.into_iter().collect(),
        Err(error) => {
            report.fail("records.catalog", chain(&error), found::run_reindex());
            return;
        }
    };
    let records = storage.executions().unwrap_or_default();
    let markers = storage.open_executions().unwrap_or_default();
    let is_open = |id: &ExecutionId| markers.binary_search(id).is_ok();
    // What has a marker is on its way into the catalog.
    let missing: Vec<&ExecutionId> =
        records.iter().filter(|id| !rows.contains_key(id) && !is_open(id)).collect();
    let gone: Vec<&ExecutionId> =
        rows.keys().filter(|id| records.binary_search(id).is_err()).collect();
    let stuck: Vec<&ExecutionId> =
        rows.iter().filter(|(id, ended)| !**ended && !is_open(id)).map(|(id, _)| id).collect();
    let mut drifted = Vec::new();
    type Say = fn(usize, String) -> String;
    let said: [(_, Say); 3] = [
        (&missing, found::not_in_catalog),
        (&gone, found::without_record),
        (&stuck, found::without_marker),
    ];
    for (ids, say) in said {
        // A server at work moves between the two looks: a few are no finding then.
        let tolerated = if server { 2 } else { 0 };
        if ids.len() > tolerated {
            drifted.push(say(ids.len(), named(ids.iter().map(ToString::to_string))));
        }
    }
    if drifted.is_empty() {
        let detail = found::all_in_catalog(count(records.len() as u64), s(records.len()));
        report.ok("records.catalog", detail);
    } else {
        report.fail("records.catalog", drifted.join("; "), found::rebuild());
    }
}
