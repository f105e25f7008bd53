//! `stepflow search`: the same over a storage and over a server, in logs that run, have ended and are
//! compressed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
    thread,
};

use serde_json::Value;
use stepflow_testkit::{Ended, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn server(scratch: &Scratch) -> (Ended, String) {
    let mut command = scratch.command(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
    command.stderr(Stdio::piped()).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
    let mut process = Ended(command.spawn().unwrap());
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap();
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (process, url.split_whitespace().next().unwrap().to_owned())
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn hits_are_grouped_and_the_same_here_and_over_a_server() {
    let scratch = Scratch::new(STEPFLOW);
    let run = |name: &str, script: &str| {
        scratch.output(&["run", "--name", name, "--output", "quiet", "--", "bash", "-c", script]);
    };
    run(
        "build",
        "seq 1 3000; echo STEP_START:Link; printf 'a \\033[31mNee\\033[0mdle\\nb\\n'; seq 1 3000",
    );
    scratch.text(&["compress"]);
    run("test", "echo before; echo 'one needle'; echo behind; exit 3");
    let live =
        scratch.detach(&["--name", "live"], &["bash", "-c", "echo needle lives; exec sleep 600"]);
    eventually("it has printed", || {
        let printed = String::from_utf8_lossy(&scratch.output_of(live)).contains("lives");
        printed.then_some(())
    });

    let here = scratch.output(&["search", "-i", "needle"]);
    assert_eq!(here.status.code(), Some(0), "{here:?}");
    let said = text(&here);
    let groups: Vec<&str> = said.split("\n\n").collect();
    assert_eq!(groups.len(), 3, "newest first, one group each: {said}");
    for (group, (name, hit)) in groups.iter().zip([
        ("live", "1:needle lives"),
        ("test", "2:one needle"),
        ("build", "3002:a Needle"),
    ]) {
        let mut lines = group.lines();
        assert!(lines.next().unwrap().ends_with(name), "{group}");
        assert!(lines.any(|line| line == hit), "{group}");
    }
    assert!(groups[2].contains("\n[Link]\n"), "the step is named: {said}");

    let context = text(&scratch.output(&["search", "needle", "--name", "test", "-C", "1"]));
    assert!(context.ends_with("1-before\n2:one needle\n3-behind\n"), "{context}");

    let (_server, url) = server(&scratch);
    let there = scratch.output(&["--server", &url, "search", "-i", "needle"]);
    assert_eq!(there.status.code(), Some(0), "{there:?}");
    // What runs has run a little longer.
    let settled = |said: &str| {
        said.lines().filter(|line| !line.ends_with(" live")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(settled(&text(&there)), settled(&said));
    for (args, code) in [
        (vec!["search", "needle", "--status", "failed"], 0),
        (vec!["search", "Needle", "--step", "link"], 0),
        (vec!["search", "needle", "--step", "link"], 1),
        (vec!["search", "nowhere at all"], 1),
        (vec!["search", "-E", "("], 2),
        (vec!["search", "x", "--status", "odd"], 2),
    ] {
        assert_eq!(scratch.output(&args).status.code(), Some(code), "{args:?}");
        let there = [&["--server", &url][..], &args].concat();
        assert_eq!(scratch.output(&there).status.code(), Some(code), "{there:?}");
    }
    scratch.text(&["cancel", &live.to_string()]);
}

#[test]
fn json_has_what_the_api_says_and_its_end() {
    let scratch = Scratch::new(STEPFLOW);
    let script = "for n in $(seq 1 2500); do echo hit $n; done";
    scratch.output(&["run", "--output", "quiet", "--", "bash", "-c", script]);
    let said = text(&scratch.output(&["search", "hit", "--json"]));
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = events.iter().filter(|event| event["kind"] == "found");
    let lines: Vec<u64> = found
        .flat_map(|event| event["lines"].as_array().unwrap())
        .map(|line| line["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, (1..=2500).collect::<Vec<_>>(), "all of them, whatever answers it took");
    assert_eq!(events.last().unwrap()["kind"], "end");
    let few = text(&scratch.output(&["search", "hit", "-m", "2"]));
    assert!(few.contains("\n1:hit 1\n2:hit 2\nthere may be more"), "{few}");
}
