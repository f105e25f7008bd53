//! `stepflow bench`: measures, says so to people and to programs, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fs, process::Command};

use nix::sys::signal::Signal;
use serde_json::Value;
use stepflow_testkit::{Ended, Scratch, eventually, signal};

fn scratch() -> Scratch {
    Scratch::new(env!("CARGO_BIN_EXE_stepflow"))
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|at| at.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn small_parts_are_measured_and_nothing_is_left() {
    let scratch = scratch();
    let dir = scratch.work().join("disk");
    fs::create_dir(&dir).unwrap();
    let storage = scratch.storage.root().to_owned();
    let before = (names(&storage), names(&dir));
    let output = scratch.output(&[
        "bench",
        "start",
        "streams",
        "capture",
        "--quick",
        "--runs",
        "1",
        "--streams",
        "5",
        "--megabytes",
        "2",
        "--json",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["sizes"]["streams"], 5);
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1, "{report}");
    let figures = report["figures"].as_array().unwrap();
    let find = |what: &str| {
        let found = figures.iter().find(|figure| figure["what"] == what);
        found.unwrap_or_else(|| panic!("no {what}: {report}"))
    };
    // In the order of the parts, whatever the order of the words.
    let parts: Vec<&str> = figures.iter().map(|figure| figure["part"].as_str().unwrap()).collect();
    assert!(
        parts.is_sorted_by_key(|part| ["capture", "streams", "start"]
            .iter()
            .position(|p| p == part))
    );
    // What was measured happened: every line of five scripts arrived, in order.
    assert_eq!(find("streams_lost")["median"], 0.0);
    assert_eq!(find("start_failed")["median"], 0.0);
    assert!(find("streams_median")["median"].as_f64().unwrap() > 0.0);
    assert!(
        find("stream_memory")["median"].as_f64().unwrap() > 0.05,
        "recorders are found: {report}"
    );
    assert!(find("capture_quiet")["ratio"].as_f64().unwrap() > 0.0);
    assert_eq!((names(&storage), names(&dir)), before, "it leaves nothing behind");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let scratch = scratch();
    let dir = scratch.work().join("disk");
    fs::create_dir(&dir).unwrap();
    let mut bench = Ended(
        scratch
            .command(&["bench", "recovery", "--quick", "--dir", dir.to_str().unwrap()])
            .spawn()
            .unwrap(),
    );
    // Its server is there, with scripts that print for ever.
    eventually("scripts run", || {
        let open = fs::read_dir(&dir).unwrap().flatten().next()?.path().join("recovery/run");
        (fs::read_dir(open).ok()?.count() > 10).then_some(())
    });
    signal(bench.0.id() as i32, Signal::SIGINT);
    assert_eq!(bench.0.wait().unwrap().code(), Some(130));
    assert_eq!(names(&dir), Vec::<String>::new());
    let root = dir.to_str().unwrap();
    // They were told to stop, and have a moment for it.
    eventually("no process is left", || {
        let left = Command::new("pgrep").args(["-f", root]).output().unwrap();
        left.stdout.is_empty().then_some(())
    });
}

#[test]
fn c9_the_table_speaks_both_languages() {
    let scratch = scratch();
    let args = ["bench", "start", "--quick", "--runs", "1", "--streams", "3"];
    let english = scratch.text(&args);
    assert!(english.contains("scripts that start and end; in all 3"), "{english}");
    assert!(english.contains("scripts a second."), "{english}");
    let output = scratch.command(&args).env("LC_ALL", "zh_CN.UTF-8").output().unwrap();
    let chinese = String::from_utf8(output.stdout).unwrap();
    assert!(chinese.contains("启动并结束的脚本") && chinese.contains("每秒可启动"), "{chinese}");
    // Beside the storage, since no directory was named; removed as well.
    let beside = names(scratch.storage.root().parent().unwrap());
    assert!(!beside.iter().any(|name| name.starts_with(".stepflow-bench")), "{beside:?}");
}
