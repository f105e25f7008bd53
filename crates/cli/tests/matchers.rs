//! Problem matchers of the user's: whoever starts an execution takes them, and a bad one stops none.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use stepflow_client::Server as Client;
use stepflow_record::RecordView;
use stepflow_testkit::{Ended, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

const LINT: &str = "severity = 'warning'\n\n[[pattern]]\nregex = '^== (?<file>\\S+) ==$'\n\n\
    [[pattern]]\nrepeat = true\ncontains = ['lint(']\n\
    regex = '^lint\\((?<code>\\w+)\\) at (?<line>\\d+): (?<message>.+)$'\n";
const SCRIPT: &str = "printf '%s\\n' 'hello' '== src/a.x ==' 'lint(W1) at 3: too long' \
    'lint(W2) at 9: too short' 'a.ts(1,2): error TS1: no such thing'";

fn put(directory: &Path, name: &str, text: &str) {
    let directory = directory.join("problem_matchers");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), text).unwrap();
}

/// Who found what where, in the log and in the source.
fn found(view: &RecordView) -> Vec<(u64, String)> {
    let problems = view.state.annotations.iter();
    problems
        .map(|annotation| {
            let problem = annotation.problem.as_deref().unwrap();
            let file = problem.file.as_deref().unwrap_or_default();
            let line = problem.line.unwrap_or_default();
            (annotation.line, format!("{} {file}:{line} {}", problem.dialect, problem.message))
        })
        .collect()
}

#[test]
fn run_and_pipe_take_them_and_a_list_turns_them_off() {
    let scratch = Scratch::new(STEPFLOW);
    put(scratch.storage.root(), "our-lint.toml", LINT);
    let run = |flags: &[&str]| {
        let id = scratch.detach(flags, &["sh", "-c", SCRIPT]);
        found(&scratch.ended(id))
    };
    let lint = [
        (3, "our-lint src/a.x:3 too long".to_owned()),
        (4, "our-lint src/a.x:9 too short".to_owned()),
    ];
    let tsc = (5, "tsc a.ts:1 no such thing".to_owned());
    assert_eq!(run(&[]), [lint[0].clone(), lint[1].clone(), tsc.clone()]);
    assert_eq!(run(&["--dialect", "auto,-our-lint"]), [tsc]);
    assert_eq!(run(&["--dialect", "our-lint"]), lint);
    assert_eq!(run(&["--dialect", "none"]), []);

    let line = format!("({SCRIPT}) | \"$0\" --storage \"$1\" pipe --output quiet");
    let root = scratch.storage.root();
    let status = Command::new("sh").args(["-c", &line, STEPFLOW]).arg(root).status().unwrap();
    assert!(status.success());
    assert_eq!(found(&scratch.view(scratch.newest())).len(), 3);
    // What it was started with is part of the record: a rerun means the same.
    fs::remove_dir_all(root.join("problem_matchers")).unwrap();
    let id = scratch.newest();
    assert_eq!(scratch.storage.spec(id).unwrap().problem_matchers["our-lint"], LINT);
}

#[test]
fn the_storages_stand_before_the_users_and_a_bad_one_is_told_of_and_left_out() {
    let scratch = Scratch::new(STEPFLOW);
    let home = scratch.work().join("config");
    put(
        &home.join("stepflow"),
        "our-lint.toml",
        "[[pattern]]\ncontains = ['hello']\nregex = '(?<message>hello)'\n",
    );
    put(
        &home.join("stepflow"),
        "greeting.toml",
        "[[pattern]]\ncontains = ['hello']\nregex = '(?<message>h.*)'\n",
    );
    put(scratch.storage.root(), "our-lint.toml", LINT);
    put(
        scratch.storage.root(),
        "bad.toml",
        "\n[[pattern]]\ncontains = ['hello']\nregex = '(?<massage>.*)'\n",
    );
    put(scratch.storage.root(), "Not A Name.toml", LINT);
    put(scratch.storage.root(), "notes.txt", "no matcher");

    let run = |args: &[&str]| {
        let output = scratch.command(args).env("XDG_CONFIG_HOME", &home).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), told)
    };
    let (code, _, told) =
        run(&["run", "--output", "quiet", "--", "sh", "-c", &format!("{SCRIPT}; exit 7")]);
    assert_eq!(code, Some(7), "{told}");
    let line = told.lines().find(|line| line.contains("bad.toml")).expect("a warning");
    assert!(
        line.starts_with("warning: ") && line.contains("line 4, key `pattern[1].regex`"),
        "{line}"
    );
    assert!(line.contains("no group `massage`; there are file"), "{line}");
    assert!(told.contains("Not A Name") && !told.contains("notes.txt"), "{told}");
    let view = scratch.view(scratch.newest());
    let names: Vec<_> = view.state.detected.iter().map(|found| found.dialect.as_str()).collect();
    assert_eq!(names, ["greeting", "our-lint", "tsc"]);

    let log = scratch.work().join("a.log");
    fs::write(&log, scratch.output_of(scratch.newest())).unwrap();
    let (code, tree, told) = run(&["parse", "--tree", log.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(
        tree.contains("warning src/a.x:3: too long\n") && tree.contains("error hello\n"),
        "{tree}"
    );
    assert!(told.contains("bad.toml"), "{told}");
    let (_, tree, _) =
        run(&["parse", "--explain", "--dialect", "auto,-greeting", log.to_str().unwrap()]);
    assert!(tree.lines().any(|line| line.starts_with("our-lint") && line.contains('3')), "{tree}");
    let (code, _, told) = run(&["parse", "--dialect", "auto,-gretting", log.to_str().unwrap()]);
    assert!(code != Some(0) && told.contains("`gretting`"), "{told}");
}

#[test]
fn a_server_takes_them_for_all_that_it_runs() {
    let scratch = Scratch::new(STEPFLOW);
    put(scratch.storage.root(), "our-lint.toml", LINT);
    put(scratch.storage.root(), "bad.toml", "[[pattern]\n");
    let refused = scratch.output(&["serve", "--listen", "127.0.0.1:0", "--dialect", "nobody"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`nobody`"));

    let args = ["serve", "--listen", "127.0.0.1:0", "--auth", "off", "--dialect", "auto,-tsc"];
    let mut child = scratch.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let _server = Ended(child);
    let mut told = String::new();
    loop {
        let line = lines.next().expect("the server says where it listens").unwrap();
        if line.starts_with("listening on ") {
            break;
        }
        told.push_str(&line);
    }
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    assert!(told.contains("bad.toml is not used: line 1"), "{told}");

    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    let create = |more: &[(&str, &str)]| {
        let mut body = json!({"command": SCRIPT, "shell": true});
        for (key, value) in more {
            body[*key] = json!(value);
        }
        client.post("/api/executions", &body)
    };
    let names = |answer: Value| {
        let id = answer["id"].as_str().unwrap().parse().unwrap();
        eventually("the record is there", || RecordView::open(&scratch.storage, id).ok());
        let view = scratch.ended(id);
        found(&view).into_iter().map(|(line, _)| line).collect::<Vec<_>>()
    };
    assert_eq!(names(create(&[]).unwrap()), [3, 4]);
    assert_eq!(names(create(&[("dialect", "auto,-our-lint")]).unwrap()), [5]);
    assert!(create(&[("dialect", "auto,-nobody")]).is_err());
}
