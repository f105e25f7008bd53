//! Processes are killed at seeded moments, and nothing that was recorded changes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use stepflow_model::{Reason, Status};
use stepflow_testkit::{
    Rng, Scratch, count_processes, eventually, example, is_alive, kill, rounds,
};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// An output log of the printer is whole lines in order, each with its checksum, then perhaps the
/// beginning of one. Returns how many whole lines.
fn check_oracle(log: &[u8]) -> u64 {
    let whole = log.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut expected = 1;
    for line in std::str::from_utf8(&log[..whole]).unwrap().lines() {
        let (body, sum) = line.split_once(" sum ").unwrap();
        assert!(body.starts_with(&format!("line {expected} at ")), "{line}, expected {expected}");
        let real = body.bytes().fold(0_u32, |s, b| s.wrapping_mul(31).wrapping_add(u32::from(b)));
        assert_eq!(format!("{real:08x}"), sum, "{line}");
        expected += 1;
    }
    expected - 1
}

#[test]
fn a_killed_recorder_leaves_no_process_and_an_exact_record() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    for round in 0..rounds() {
        let word = format!("LOST_{}_{round}=1", std::process::id());
        let script = format!(
            "setsid sleep 300 & ( (sleep 300 &) & ); exec {} 100000 20000",
            printer.display()
        );
        let id = scratch.detach(&["--env", &word], &["bash", "-c", &script]);
        let (recorder, keeper, _) = scratch.pids(id);
        let mut viewer = scratch
            .command(&["logs", "--raw", "-f", &id.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(rng.below(60_000)));
        kill(recorder);
        eventually("keeper and tree are gone", || {
            (!is_alive(keeper) && !scratch.storage.is_alive(id).unwrap()).then_some(())
        });
        assert_eq!(count_processes(&word), 0, "round {round}");
        let mut seen = Vec::new();
        viewer.stdout.take().unwrap().read_to_end(&mut seen).unwrap();
        viewer.wait().unwrap();

        scratch.output(&["ls"]); // Whoever holds the writer lock gives the verdict.
        let mut view = scratch.view(id);
        view.liveness().unwrap();
        let summary = view.state.summary.clone();
        assert_eq!((summary.status, summary.reason), (Status::Failed, Some(Reason::RecorderLost)));
        assert_eq!(summary.exit_code, None, "nobody can know it");
        let log = scratch.output_of(id);
        check_oracle(&log);
        assert_eq!(summary.position.bytes, log.len() as u64, "kept to the last recorded byte");
        assert!(log.starts_with(&seen), "round {round}: a viewer saw what is not recorded");
        // The end is final.
        scratch.output(&["ls"]);
        assert_eq!(scratch.view(id).state.summary, summary);
    }
}

#[test]
fn a_killed_keeper_costs_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    for round in 0..rounds() {
        let script = format!("{} 500 10000; exit 7", printer.display());
        let id = scratch.detach(&[], &["sh", "-c", &script]);
        let (_, keeper, _) = scratch.pids(id);
        thread::sleep(Duration::from_micros(rng.below(40_000)));
        kill(keeper);
        let view = scratch.ended(id);
        assert_eq!(view.state.summary.exit_code, Some(7), "round {round}");
        assert_eq!(check_oracle(&scratch.output_of(id)), 500);
    }
}

#[test]
fn a_crash_on_the_start_path_runs_a_script_at_most_once_and_ends_it_once() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let counter = scratch.work().join("count");
    for round in 0..rounds() {
        let _ = fs::remove_file(&counter);
        let known = scratch.storage.executions().unwrap().len();
        let script = format!("echo x >> {}; sleep 0.2", counter.display());
        let mut child = scratch
            .command(&["run", "--output", "quiet", "--", "sh", "-c", &script])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(rng.below(25_000)));
        // The client, or the recorder if it is there already.
        let recorder = stepflow_testkit::find_process(&format!(
            "__record\0{}",
            scratch.storage.root().display()
        ));
        match recorder {
            Some(pid) if rng.below(2) == 0 => kill(pid),
            _ => child.kill().unwrap(),
        }
        child.wait().unwrap();
        let ids = scratch.storage.executions().unwrap();
        let Some(id) = ids.get(known).copied() else { continue };
        if scratch.storage.spec(id).is_err() {
            continue; // Killed before it was accepted.
        }
        eventually("nobody holds it", || (!scratch.storage.is_alive(id).unwrap()).then_some(()));
        if !scratch.storage.open_marker(id).exists() {
            // Killed before it was accepted, or already in the catalog: a rebuild sees both.
            scratch.output(&["reindex"]);
        }
        scratch.output(&["ls"]);
        let mut view = scratch.view(id);
        view.liveness().unwrap();
        let starts = fs::read_to_string(&counter).map_or(0, |text| text.lines().count());
        let summary = &view.state.summary;
        assert!(starts <= 1, "round {round}");
        assert!(summary.status.is_end(), "round {round}: {summary:?}");
        if starts == 1 {
            assert!(summary.started_us.is_some(), "round {round}: it ran without a record of it");
        }
    }
}

#[test]
fn a_recorded_pid_that_is_a_strangers_now_is_never_signalled() {
    let scratch = Scratch::new(STEPFLOW);
    for _ in 0..rounds() {
        let id = scratch.detach(&[], &["sleep", "300"]);
        let (recorder, keeper, script) = scratch.pids(id);
        kill(recorder);
        eventually("all are gone", || {
            (!is_alive(keeper) && !is_alive(script) && !scratch.storage.is_alive(id).unwrap())
                .then_some(())
        });
        // The stranger: a process whose pid the journal names as the script's.
        let mut stranger = Command::new("sleep").arg("300").spawn().unwrap();
        let journal = scratch.storage.record_dir(id).join("journal.ndjson");
        rewrite_pid(&journal, script, stranger.id() as i32);
        scratch.output(&["cancel", &id.to_string()]);
        scratch.output(&["ls"]);
        assert!(is_alive(stranger.id() as i32), "a stranger was signalled");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert_eq!(scratch.view(id).state.summary.reason, Some(Reason::RecorderLost));
    }
}

/// Replaces a pid in the journal and its line's checksum.
fn rewrite_pid(journal: &std::path::Path, from: i32, to: i32) {
    let text = fs::read_to_string(journal).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (body, _) = line.rsplit_once(",\"crc\":").unwrap();
            let body = body.replace(&format!("\"pid\":{from},"), &format!("\"pid\":{to},"));
            format!("{body},\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(body.as_bytes()))
        })
        .collect();
    assert!(lines.concat().contains(&format!("\"pid\":{to},")), "the journal names the stranger");
    fs::write(journal, lines.concat()).unwrap();
}

#[test]
fn after_a_restart_of_the_host_what_ran_is_lost_and_says_so() {
    let scratch = Scratch::new(STEPFLOW);
    for _ in 0..rounds() {
        let id = scratch.detach(&[], &["sh", "-c", "echo recorded; sleep 300"]);
        let (recorder, ..) = scratch.pids(id);
        eventually("a line is there", || (!scratch.output_of(id).is_empty()).then_some(()));
        kill(recorder);
        eventually("nobody holds it", || (!scratch.storage.is_alive(id).unwrap()).then_some(()));
        // Another boot id, in a mount namespace of its own.
        let fake = scratch.work().join("boot_id");
        fs::write(&fake, "11111111-2222-3333-4444-555555555555\n").unwrap();
        let script = format!(
            "mount --bind {} /proc/sys/kernel/random/boot_id && exec {STEPFLOW} --storage {} ls",
            fake.display(),
            scratch.storage.root().display()
        );
        let status = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "needs root: unshare -m and mount --bind");
        let view = scratch.view(id);
        assert_eq!(view.state.summary.reason, Some(Reason::HostRestarted));
        assert_eq!(scratch.output_of(id), b"recorded\n");
    }
}
