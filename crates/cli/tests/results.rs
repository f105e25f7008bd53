//! Results of tests: files in JUnit's form and TAP in the output, over several runs of one name, with and
//! without a server, after a restart, and after everything was rebuilt from the records.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::Value;
use stepflow_client::{Server, Target};
use stepflow_model::{EventKind, Status};
use stepflow_record::JournalReader;
use stepflow_testkit::{Ended, Scratch};

/// Runs "tests" whose verdicts depend on which run it is, prints TAP and writes a report as pytest does.
const SCRIPT: &str = r#"
mkdir -p reports; x=reports/junit.xml; n=0
exec 3>"$x"
echo '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest">' >&3
echo 'TAP version 13'
t() {
  n=$((n + 1))
  if [ "$2" = pass ]; then
    echo "ok $n - $1"
    echo "<testcase classname=\"pkg.test_it\" name=\"$1\" time=\"0.0$n\" />" >&3
  else
    echo "not ok $n - $1"
    echo "<testcase classname=\"pkg.test_it\" name=\"$1\" time=\"0.0$n\"><failure message=\"run $RUN broke it\">trace of $1 with $SECRET</failure></testcase>" >&3
  fi
}
t steady pass
t broken $([ "$RUN" -lt 5 ] && echo pass || echo fail)
t moody $([ $((RUN % 2)) = 0 ] && echo pass || echo fail)
t mended $([ "$RUN" -lt 10 ] && echo fail || echo pass)
if [ "$RUN" = 10 ]; then
  t late pass
  echo '<testcase classname="pkg.test_it" name="retried" time="0.5"><flakyFailure message="at first">no</flakyFailure></testcase>' >&3
fi
echo "1..$n"
echo '</testsuite></testsuites>' >&3
exit 1
"#;

struct There {
    url: String,
    _server: Ended,
}

fn serve(scratch: &Scratch) -> There {
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap());
    let server = Ended(server);
    let mut line = String::new();
    while !line.contains("listening on ") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the server ended");
    }
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    There { url, _server: server }
}

impl There {
    fn get(&self, path: &str) -> Value {
        let target: Target = self.url.parse().unwrap();
        Server::new(target, None).get(path).unwrap()
    }
}

fn scratch() -> Scratch {
    Scratch::new(env!("CARGO_BIN_EXE_stepflow"))
}

/// One run of the script; its exit code is the script's, whatever its tests say.
fn run(scratch: &Scratch, number: u32) {
    let environment = format!("RUN={number}");
    let args = [
        "run",
        "--name",
        "nightly",
        "--junit",
        "reports/*.xml",
        "--env",
        &environment,
        "--env",
        "SECRET=hunter2hunter2",
        "--mask-env",
        "SECRET",
        "--output",
        "quiet",
        "--shell",
        "--",
        SCRIPT,
    ];
    assert_eq!(scratch.output(&args).status.code(), Some(1));
}

fn json(scratch: &Scratch, args: &[&str]) -> Value {
    let output = scratch.output(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is told of each test: status, change, whether flaky, since which execution it fails, whether
/// new, tries, the log's line.
fn told(list: &Value) -> Vec<String> {
    let tests = list["tests"].as_array().unwrap();
    let one = |test: &Value| {
        let flags = ["flaky", "new"].into_iter().filter(|flag| test[*flag] == true);
        format!(
            "{} {} {} {:?} tries {} line {} {}",
            test["name"].as_str().unwrap(),
            test["status"].as_str().unwrap(),
            test["change"].as_str().unwrap_or("-"),
            flags.collect::<Vec<_>>(),
            test["attempts"],
            test["line"],
            test["message"].as_str().unwrap_or("-"),
        )
    };
    tests.iter().map(one).collect()
}

#[test]
fn ten_runs_tell_what_broke_what_is_mended_and_what_does_not_know() {
    let scratch = scratch();
    for number in 1..=10 {
        run(&scratch, number);
    }
    let all = scratch.storage.executions().unwrap();
    let (fourth, fifth, last) = (all[3], all[4], all[9]);

    let list = json(&scratch, &["tests", "--json"]);
    assert_eq!(list["dialect"], "junit");
    assert_eq!(list["compared"], 9);
    assert_eq!(list["counts"]["passed"], 5);
    assert_eq!(list["counts"]["failed"], 1);
    assert_eq!(list["dialects"]["tap"]["passed"], 4);
    let expected = [
        "broken failed still_failing [] tries 1 line 3 run 10 broke it",
        "moody passed fixed [\"flaky\"] tries 1 line 4 -",
        "retried passed - [\"flaky\", \"new\"] tries 2 line null -",
        "steady passed - [] tries 1 line 2 -",
        "mended passed fixed [] tries 1 line 5 -",
        "late passed - [\"new\"] tries 1 line 6 -",
    ];
    assert_eq!(told(&list), expected);
    let since = &list["tests"][0]["failing_since"]["execution_id"];
    assert_eq!(since.as_str().unwrap(), fifth.to_string());
    // An execution in the middle is compared with those before it alone.
    let then = json(&scratch, &["tests", &fifth.to_string(), "--json"]);
    assert_eq!(then["tests"][0]["change"], "newly_failing");
    assert_eq!((&then["compared"], &then["marks"]["newly_failing"]), (&4.into(), &2.into()));

    // A server on the storage, another one after it, and everything rebuilt: the same answers.
    let ask = ["tests", &last.to_string(), "--json"];
    let there = serve(&scratch);
    let via = |there: &There| {
        let mut args = vec!["--server", &there.url];
        args.extend(ask);
        json(&scratch, &args)
    };
    assert_eq!(via(&there), list);
    let path = "/api/tests?name=nightly&suite=pkg.test_it&test=moody";
    let history = there.get(path);
    let verdicts: Vec<_> =
        history["history"].as_array().unwrap().iter().map(|run| run["verdict"].clone()).collect();
    assert_eq!(verdicts, ["passed", "failed"].repeat(5));
    assert_eq!(history["history"][6]["execution_id"].as_str().unwrap(), fourth.to_string());
    let place = &list["tests"][0]["index"];
    let detail = there.get(&format!("/api/executions/{last}/tests/{place}"));
    assert_eq!(detail["test"]["name"], "broken");
    assert_eq!(detail["tries"][0]["message"], "run 10 broke it");
    assert_eq!(detail["tries"][0]["details"], "trace of broken with ***");
    assert_eq!(detail["tries"][0]["line"], 3);
    assert_eq!(detail["history"].as_array().unwrap().len(), 10);
    drop(there);

    let again = serve(&scratch);
    assert_eq!(via(&again), list);
    assert_eq!(again.get(path), history);
    drop(again);
    assert!(scratch.output(&["reindex"]).status.success());
    let rebuilt = serve(&scratch);
    assert_eq!(via(&rebuilt), list);
    assert_eq!(rebuilt.get(path), history);
    assert_eq!(rebuilt.get(&format!("/api/executions/{last}/tests/{place}")), detail);
    assert!(scratch.output(&["verify"]).status.success());
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let scratch = scratch();
    for number in [1, 2, 3, 4, 10] {
        run(&scratch, number);
    }
    let names = |args: &[&str]| -> Vec<String> {
        let list = json(&scratch, &[&["tests", "last", "--json"], args].concat());
        let tests = list["tests"].as_array().unwrap();
        tests.iter().map(|test| test["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["--status", "failed"]), ["broken"]);
    assert_eq!(names(&["--mark", "fixed"]), ["mended"]);
    assert_eq!(names(&["--mark", "new"]), ["retried", "late"]);
    assert_eq!(names(&["--text", "DY"]), ["moody", "steady"]);
    assert_eq!(names(&["--order", "slowest", "-n", "2"]), ["retried", "late"]);
    assert_eq!(names(&["--order", "name", "-n", "2"]), ["broken", "late"]);
    assert_eq!(names(&["--order", "told", "-n", "1"]), ["steady"]);
    assert_eq!(names(&["--dialect", "tap"]).len(), 5);
    assert_eq!(names(&["--dialect", "all"]).len(), 11);
    let plain = scratch.text(&["tests"]);
    assert!(plain.starts_with("FAIL"), "{plain}");
    assert!(plain.contains("pkg.test_it broken   newly failing   line 3"), "{plain}");
    assert!(
        plain.trim_end().ends_with(
            "5 passed, 1 failed, 0 skipped · 650 ms in all · 1 newly failing · 1 fixed · 2 flaky"
        ),
        "{plain}"
    );
    let tree = scratch.text(&["tests", "--tree", "--status", "skipped"]);
    assert!(tree.starts_with("no test matches"), "{tree}");

    let there = serve(&scratch);
    let id = scratch.newest();
    let page = there.get(&format!("/api/executions/{id}/tests?limit=2&offset=4&order=told"));
    assert_eq!((&page["matched"], &page["has_more"]), (&6.into(), &false.into()));
    assert_eq!(page["tests"][0]["index"], 9, "behind the five of TAP");
    let target: Target = there.url.parse().unwrap();
    let server = Server::new(target, None);
    for (path, status) in [
        (format!("/api/executions/{id}/tests?order=best"), 400),
        (format!("/api/executions/{id}/tests?status=good"), 400),
        (format!("/api/executions/{id}/tests?mark=x"), 400),
        (format!("/api/executions/{id}/tests/99"), 404),
        (format!("/api/executions/{id}/tests/x"), 404),
        ("/api/executions/0198c2aa-0000-7000-8000-000000000001/tests".to_owned(), 404),
        ("/api/tests?name=nightly".to_owned(), 400),
    ] {
        let refused = server.get(&path).unwrap_err().to_string();
        let refusal = status_of(&server, &path);
        assert_eq!(refusal, Some(status), "{path}: {refused}");
    }
}

fn status_of(server: &Server, path: &str) -> Option<u16> {
    match server.get(path) {
        Err(stepflow_client::ClientError::Refused { status, .. }) => Some(status),
        _ => None,
    }
}

#[test]
fn declared_files_are_read_and_what_cannot_be_read_is_said() {
    let scratch = scratch();
    let script = r#"
echo '<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="no"/></testcase></testsuite>' > r.xml
echo '<project/>' > pom.xml
echo '<testsuite><testcase name="half"/>' > cut.xml
echo ARTIFACT:r.xml; echo ARTIFACT:pom.xml; echo ARTIFACT:cut.xml
"#;
    let args = ["run", "--junit", "nowhere/*.xml", "--output", "quiet", "--shell", "--", script];
    assert_eq!(scratch.output(&args).status.code(), Some(0));
    let view = scratch.view(scratch.newest());
    let said: Vec<_> = view
        .state
        .annotations
        .iter()
        .map(|one| (one.code.as_str(), one.message.as_str()))
        .collect();
    assert_eq!(
        said[0],
        ("junit_none", "no file matches `nowhere/*.xml`: no test results were read from it")
    );
    assert_eq!(said[1].0, "junit_unread");
    assert!(
        said[1]
            .1
            .starts_with("`cut.xml` was not read whole as test results: it ends in its middle")
    );
    assert_eq!(said.len(), 2);
    let list = json(&scratch, &["tests", "--json"]);
    assert_eq!(list["counts"]["passed"], 2);
    assert_eq!(list["counts"]["failed"], 1);

    // The results are in the journal before the end, which is its last word.
    let dir = scratch.storage.record_dir(scratch.newest());
    let mut journal = JournalReader::open(&dir).unwrap().unwrap();
    let events = journal.read_new().unwrap();
    let tests = events.iter().filter(|event| matches!(event.kind, EventKind::Test(_))).count();
    assert_eq!(tests, 3);
    let EventKind::Exited { status, .. } = &events.last().unwrap().kind else { panic!() };
    assert_eq!(*status, Status::Completed);
}

#[test]
fn a_pipe_and_a_request_name_files_of_results_too() {
    let scratch = scratch();
    let report = "<testsuite name='s'><testcase name='a'/></testsuite>";
    let mut pipe = scratch
        .command(&["pipe", "--junit", "*.xml", "--output", "quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = pipe.stdin.take().unwrap();
    input.write_all(b"hello\n").unwrap();
    std::fs::write(scratch.work().join("r.xml"), report).unwrap();
    drop(input);
    assert!(pipe.wait().unwrap().success());
    assert_eq!(json(&scratch, &["tests", "--json"])["counts"]["passed"], 1);

    let there = serve(&scratch);
    let target: Target = there.url.parse().unwrap();
    let server = Server::new(target, None);
    let create = |body: Value| server.post("/api/executions", &body);
    let work = scratch.work().display().to_string();
    let created =
        create(serde_json::json!({"command": ["sh", "-c", format!("echo \"{report}\" > r.xml")],
        "working_directory": work, "junit": ["r.xml"], "wait": true}))
        .unwrap();
    let id = created["id"].as_str().unwrap();
    assert_eq!(there.get(&format!("/api/executions/{id}/tests"))["matched"], 1);
    assert_eq!(there.get(&format!("/api/executions/{id}/spec"))["junit"][0], "r.xml");
    let refused = create(serde_json::json!({"command": ["true"], "junit": ["../x.xml"]}));
    assert!(refused.unwrap_err().to_string().contains("leads out of the working directory"));
    let wrong = scratch.output(&["run", "--junit", "/a/../b", "--", "true"]);
    assert_eq!(wrong.status.code(), Some(125));
}
