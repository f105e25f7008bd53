//! `stepflow rerun`: the same again, as a new execution.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::fs;

use serde_json::Value;
use stepflow_model::{Source, TerminalSize};
use stepflow_testkit::{Scratch, Screen};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

#[test]
fn a_rerun_does_the_same_in_the_same_place_and_says_of_what() {
    let scratch = Scratch::new(STEPFLOW);
    let place = scratch.work().join("place");
    fs::create_dir(&place).unwrap();
    let options = [
        "run",
        "--output",
        "raw",
        "--name",
        "nightly",
        "--tag",
        "a",
        "--tag",
        "b",
        "--cwd",
        "place",
        "--env",
        "WORD=it's",
        "--timeout",
        "10m",
        "--grace",
        "3s",
        "--stop-on-error",
        "--shell",
        "--",
        "pwd; echo \"$WORD $STEPFLOW_EXECUTION_ID\"; echo x >> count; exit 5",
    ];
    assert_eq!(scratch.output(&options).status.code(), Some(5));
    let first = scratch.newest();

    let output = scratch.output(&["rerun", &first.to_string(), "--output", "raw"]);
    assert_eq!(output.status.code(), Some(5), "the script's own");
    let second = scratch.newest();
    assert_ne!(first, second);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{}\nit's {second}\n", place.display()));
    assert_eq!(fs::read_to_string(place.join("count")).unwrap(), "x\nx\n");

    let (old, new) = (scratch.storage.spec(first).unwrap(), scratch.storage.spec(second).unwrap());
    assert_eq!(new.rerun_of, Some(first));
    let expected = stepflow_model::Spec {
        rerun_of: Some(first),
        id: second,
        created_us: new.created_us,
        env_inherited: new.env_inherited.clone(),
        split_stderr: new.split_stderr,
        ..old
    };
    assert_eq!(new, expected);
    assert_eq!((new.source, new.bound), (Source::Cli, true));

    let shown: Value = serde_json::from_str(&scratch.text(&["show", "last", "--json"])).unwrap();
    assert_eq!(shown["execution"]["rerun_of"], first.to_string());
    assert!(scratch.text(&["show", "last"]).contains(&format!("rerun of   {first}")));
    let listed: Value = serde_json::from_str(&scratch.text(&["ls", "--json"])).unwrap();
    assert_eq!(listed["executions"][0]["rerun_of"], first.to_string());

    // Of a rerun, on its own, with another word.
    let args = ["rerun", "last", "--detach", "--env", "WORD=other"];
    let third = scratch.text(&args).trim().parse().unwrap();
    assert_eq!(scratch.ended(third).state.summary.exit_code, Some(5));
    let spec = scratch.storage.spec(third).unwrap();
    assert_eq!(
        (spec.rerun_of, spec.bound, spec.env["WORD"].as_str()),
        (Some(second), false, "other")
    );
}

#[test]
fn a_secret_must_be_given_again_and_is_not_recorded_then_either() {
    let scratch = Scratch::new(STEPFLOW);
    let script = "echo \"<$KEY> ${#KEY} ${#TOKEN}\"";
    let mut run = scratch.command(&[
        "run",
        "--output",
        "raw",
        "--env",
        "KEY=hunter22",
        "--mask-env",
        "KEY",
        "--mask-env",
        "TOKEN",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(run.env("TOKEN", "s3cr3t-word").output().unwrap().stdout, b"<***> 8 11\n");
    let id = scratch.newest();

    let refused = scratch.output(&["rerun", "last"]);
    assert_eq!(refused.status.code(), Some(125));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("`KEY`, `TOKEN`") && said.contains("--env NAME=VALUE"), "{said}");
    let refused = scratch.output(&["rerun", "last", "--env", "KEY=x"]);
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("`KEY`"));
    assert_eq!(scratch.newest(), id, "nothing was started");

    let mut again =
        scratch.command(&["rerun", "last", "--output", "raw", "--env", "KEY=correct-horse"]);
    let output = again.env("TOKEN", "another-token").output().unwrap();
    assert_eq!(output.stdout, b"<***> 13 13\n");
    let dir = scratch.storage.record_dir(scratch.newest());
    for file in fs::read_dir(dir).unwrap().flatten() {
        let bytes = fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("correct-horse") && !text.contains("another-token"));
    }
}

#[test]
fn a_rerun_on_a_terminal_has_the_size_of_ours() {
    let scratch = Scratch::new(STEPFLOW);
    scratch.output(&["run", "--pty", "--", "stty", "size"]);
    let size = scratch.storage.spec(scratch.newest()).unwrap().pty;
    assert_eq!(size, Some(TerminalSize { cols: 80, rows: 24 }));
    let mut screen = Screen::start(&scratch, 99, 33, &["rerun", "last"]);
    assert!(screen.ends().success());
    assert!(screen.look().contains("33 99"), "{}", screen.look());
}

#[test]
fn what_cannot_be_repeated_says_why() {
    let scratch = Scratch::new(STEPFLOW);
    for id in ["last", "0198c2aa-0000-7000-8000-000000000001"] {
        assert_eq!(scratch.output(&["rerun", id]).status.code(), Some(125), "{id}");
    }
    assert_eq!(scratch.output(&["rerun", "last", "--no-such-flag"]).status.code(), Some(125));
}
