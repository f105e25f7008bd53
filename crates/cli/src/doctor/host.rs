//! The server, its lock, and the host.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use serde_json::Value;
use stepflow_client::{ClientError, Server as Client};
use stepflow_engine::WriterLock;
use stepflow_record::Storage;
use stepflow_server::{Service, Stop, service as service_of};
use stepflow_sys::{clock as time, host::SocketDir, lock, process};

use super::{Report, bytes};
use crate::text::found;

/// Fewer descriptors than this are too few for a server with some viewers and executions.
const FDS_LEAST: u64 = 4_096;
/// Less memory than this, and the kernel may soon kill something.
const MEMORY_LEAST: u64 = 128 << 20;
/// Clocks that differ by less say nothing.
const SKEW_US: i64 = 5 * 60 * 1_000_000;
/// 2025: earlier is no clock, but a host without one.
const CLOCK_LEAST_US: i64 = 1_735_689_600 * 1_000_000;

/// Whether a server answers, and who holds the lock. Returns whether one answers.
pub(super) fn server(storage: &Storage, report: &mut Report) -> bool {
    let answer = SocketDir::open(&storage.run_dir()).map_or_else(
        |source| Err(ClientError::NoServer { at: "server.sock".to_owned(), source }),
        |run| Client::at(run.path("server.sock")).get("/api/health"),
    );
    let held = lock::is_held(&storage.writer_lock()).unwrap_or(false);
    let holder = WriterLock::holder(storage);
    let reachable = match &answer {
        Ok(health) => {
            let version = health["version"].as_str().unwrap_or("?");
            if version == stepflow_server::VERSION {
                report.ok("server", found::answers(version));
            } else {
                let detail = found::answers_older(version, stepflow_server::VERSION);
                report.warn("server", detail, found::restart_goes_on());
            }
            true
        }
        // 503: it is there, and says that it is not well.
        Err(ClientError::Refused { status, detail, .. }) => {
            report.fail("server", found::answers_unwell(status, detail), found::status_says());
            true
        }
        Err(ClientError::NoServer { .. }) if held => {
            let who = holder.map_or_else(found::a_process, found::process);
            report.fail("server", found::does_not_answer(who), found::end_or_wait());
            false
        }
        Err(ClientError::NoServer { .. }) => {
            report.ok("server", found::no_server());
            false
        }
        Err(error) => {
            report.fail("server", crate::failure::chain(error), found::server_log());
            false
        }
    };
    lock_holder(held, holder, report);
    if reachable {
        connections(storage, report);
    }
    reachable
}

fn lock_holder(held: bool, holder: Option<u32>, report: &mut Report) {
    let Some(pid) = holder.filter(|_| held) else {
        if held {
            report.warn("lock", found::lock_without_id(), found::wait_a_moment());
        } else {
            report.ok("lock", found::lock_free());
        }
        return;
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    match name.map(|(name, rest)| (name, rest.trim_start().chars().next())) {
        Some((name, Some('T' | 't'))) => {
            report.fail("lock", found::lock_stopped(pid, name), found::continue_it(pid));
        }
        Some((name, _)) => report.ok("lock", found::lock_held(pid, name)),
        // In another container: its id means nothing here.
        None => report.warn("lock", found::lock_unseen(pid), found::between_containers()),
    }
}

fn connections(storage: &Storage, report: &mut Report) {
    let asked =
        SocketDir::open(&storage.run_dir()).map_err(|error| error.to_string()).and_then(|run| {
            let client = Client::at(run.path("server.sock"));
            client.get("/api/health/metrics").map_err(|error| error.to_string())
        });
    let metrics = match asked {
        Ok(metrics) => metrics,
        Err(error) => {
            report.warn("connections", found::does_not_tell(error), found::see_its_log());
            return;
        }
    };
    let number = |pointer: &str| metrics.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (open, most) = (number("/http/connections"), number("/http/connections_max").max(1));
    let detail =
        found::connections(open, most, number("/viewers/websocket"), number("/viewers/sse"));
    if open * 10 > most * 8 {
        report.warn("connections", detail, found::close_pages());
    } else {
        report.ok("connections", detail);
    }
    let (used, fds) = (number("/process/open_fds"), number("/process/max_fds").max(1));
    let (resident, own) = (number("/process/resident_bytes"), number("/process/anonymous_bytes"));
    let detail = found::server_process(bytes(resident), bytes(own), used, fds);
    if used * 10 > fds * 8 {
        report.warn("server.process", detail, found::raise_and_restart());
    } else {
        report.ok("server.process", detail);
    }
}

/// What this user may open and start, and how much memory there is.
pub(super) fn limits(report: &mut Report) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let detail = found::at_most(soft, hard);
        if hard < FDS_LEAST {
            report.warn("limits.files", detail, found::raise_files());
        } else {
            report.ok("limits.files", detail);
        }
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NPROC) {
        let detail = if soft > 1 << 40 { found::no_limit() } else { found::of_this_user(soft) };
        if soft < 1_024 {
            report.warn("limits.processes", detail, found::raise_processes());
        } else {
            report.ok("limits.processes", detail);
        }
    }
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().split(' ').next()?.parse::<u64>().ok()
    };
    if let (Some(available), Some(total)) = (kib("MemAvailable:"), kib("MemTotal:")) {
        let detail = found::available(bytes(available * 1024), bytes(total * 1024));
        if available * 1024 < MEMORY_LEAST {
            report.warn("memory", detail, found::run_less());
        } else {
            report.ok("memory", detail);
        }
    }
}

/// Whether the clock can be right.
pub(super) fn clock(storage: &Storage, report: &mut Report) {
    let now = time::wall_us();
    if now < CLOCK_LEAST_US {
        report.fail("clock", found::no_clock(), found::set_clock());
        return;
    }
    let newest = storage.executions().unwrap_or_default().last().copied();
    let created = newest.and_then(|id| Some(storage.spec(id).ok()?.created_us)).unwrap_or(0);
    if created > now + SKEW_US {
        let ahead = (created - now) / 1_000_000;
        report.warn("clock", found::from_the_future(ahead), found::clock_went_back());
    } else {
        report.ok("clock", stepflow_api::rfc3339(now));
    }
}

/// Whether executions outlive what the server runs in.
pub(super) fn service(storage: &Storage, report: &mut Report) {
    let holder = WriterLock::holder(storage);
    let server = holder.filter(|pid| process::usage_of(&pid.to_string()).is_some());
    let detail = match service_of(server) {
        // Without a server, what this command was started from tells nothing.
        Service::Unit { .. } if server.is_none() => found::no_unit(),
        Service::Unit { name, stop: Stop::Kills } => {
            report.warn("service", found::unit_kills(name), found::kill_mode());
            return;
        }
        Service::Unit { name, stop: Stop::Spares } => found::unit_spares(name),
        Service::Unit { name, stop: Stop::Unknown } => found::unit(name),
        Service::Container => found::container(),
        Service::None => found::no_unit(),
    };
    report.ok("service", detail);
}
