//! The catalog's file.

use stepflow_catalog::{CatalogError, Header, Inspection, SCHEMA_VERSION, time_writes};
use stepflow_record::Storage;

use super::{Report, bytes, ms, storage::judge};
use crate::text::{self, found};

const WAL_BYTES_LARGE: u64 = 64 << 20;
const FREE_RATIO_LARGE: f64 = 0.25;
const FREE_BYTES_LARGE: u64 = 4 << 20;
const LIST_SLOW: std::time::Duration = std::time::Duration::from_millis(5);

/// Looks at the file; returns what can answer questions, if it can.
pub(super) fn check(storage: &Storage, full: bool, report: &mut Report) -> Option<Inspection> {
    let path = storage.database();
    match Header::read(&path) {
        Err(_) if !path.exists() => {
            let records = storage.executions().map_or(0, |all| all.len());
            if records == 0 {
                report.ok("database", found::no_database_yet());
            } else {
                report.fail(
                    "database",
                    found::database_missing(records),
                    found::reindex_makes_it(),
                );
            }
            return None;
        }
        Err(error) => {
            report.fail("database", error.to_string(), found::run_as_storage_owner());
            return None;
        }
        Ok(None) => {
            report.fail("database", found::no_sqlite(), found::reindex_beside());
            return None;
        }
        Ok(Some(header)) if !header.is_ours() => {
            if header.application_id == 0 {
                report.warn("database", found::original_database(), found::start_upgrades());
            } else {
                let detail = found::foreign_database(header.application_id);
                report.fail("database", detail, found::pass_another());
            }
            return None;
        }
        Ok(Some(header)) => {
            if header.version > SCHEMA_VERSION {
                report.fail(
                    "database",
                    found::version_too_new(header.version, SCHEMA_VERSION),
                    found::newer_release(),
                );
                return None;
            }
            report.ok("database", found::version(header.version));
            if header.wal {
                report.ok("database.wal_mode", found::wal());
            } else {
                report.fail("database.wal_mode", found::no_wal(), found::restart_sets_wal());
            }
        }
    }
    let inspection = match Inspection::open(&path) {
        Ok(inspection) => inspection,
        Err(error) => {
            let remedy = remedy_of(&error);
            report.fail("database.open", error.to_string(), remedy);
            return None;
        }
    };
    let good = damage(&inspection, full, report);
    size(&inspection, report);
    if good {
        speed(storage, &inspection, report);
    }
    good.then_some(inspection)
}

fn damage(inspection: &Inspection, full: bool, report: &mut Report) -> bool {
    let what = if full { "integrity_check" } else { "quick_check" };
    match inspection.damage(full) {
        Ok(damage) if damage.is_empty() => {
            report.ok("database.integrity", found::integrity(what));
            true
        }
        Ok(damage) => {
            let detail = found::damage(what, damage.join("; "));
            report.fail("database.integrity", detail, found::reindex_beside());
            false
        }
        Err(error) => {
            report.fail("database.integrity", error.to_string(), remedy_of(&error));
            false
        }
    }
}

fn size(inspection: &Inspection, report: &mut Report) {
    let Ok(file) = inspection.file() else { return };
    let wal = found::wal_size(bytes(file.wal_bytes));
    if file.wal_bytes > WAL_BYTES_LARGE {
        report.warn("database.wal_size", wal, found::long_reader());
    } else {
        report.ok("database.wal_size", wal);
    }
    let free = file.free_pages * file.page_bytes;
    let ratio = file.free_pages as f64 / file.pages.max(1) as f64;
    let all = bytes(file.pages * file.page_bytes);
    let detail = found::hold_nothing(bytes(free), all, format_args!("{:.0}", ratio * 100.0));
    if free > FREE_BYTES_LARGE && ratio > FREE_RATIO_LARGE {
        report.warn("database.fragmentation", detail, found::optimize_gives_back());
    } else {
        report.ok("database.fragmentation", detail);
    }
}

fn speed(storage: &Storage, inspection: &Inspection, report: &mut Report) {
    let directory = storage.root().join("database");
    let timed = time_writes(&directory, 20).map_err(|error| crate::failure::chain(&error));
    judge("speed.database", &found::durable_write(), timed, report);
    match inspection.time_list() {
        Ok(took) if took > LIST_SLOW => {
            report.warn("speed.list", found::newest_take(ms(took)), found::optimize_or_host());
        }
        Ok(took) => report.ok("speed.list", found::newest_take(ms(took))),
        Err(error) => {
            report.fail("speed.list", crate::failure::chain(&error), found::reindex_beside());
        }
    }
}

/// What the catalog itself says to do, or to make it anew.
fn remedy_of(error: &CatalogError) -> String {
    error.hint().map_or_else(found::reindex_beside, |hint| text::hinted(hint).into_owned())
}
