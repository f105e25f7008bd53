//! A record that is gone on with, after any cut, is the record that would have been.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

use proptest::prelude::*;
use stepflow_model::{Event, EventKind, ExecutionState, Source, Spec, Status};
use stepflow_record::{LogReader, read_journal};
use stepflow_recorder::inflow::{End, Inflow};

fn spec() -> Spec {
    Spec {
        grace_ms: 0,
        drain_ms: 0,
        ..Spec::new("0198c2aa-0000-7000-8000-000000000001".parse().unwrap(), Source::Ingest, 0)
    }
}

const SECRET: &str = "hunter22";

fn secrets() -> Vec<Vec<u8>> {
    vec![SECRET.as_bytes().to_vec()]
}

/// Takes `bytes` in the chunks that `cuts` makes of them; an entry is closed after some.
fn feed(inflow: &mut Inflow, mut bytes: &[u8], cuts: &[usize]) {
    let mut cuts = cuts.iter().cycle();
    while !bytes.is_empty() {
        let size = (*cuts.next().unwrap()).clamp(1, bytes.len());
        inflow.take(&bytes[..size]);
        bytes = &bytes[size..];
        if size.is_multiple_of(2) {
            inflow.close_entry();
        }
    }
}

fn end(mut inflow: Inflow) -> ExecutionState {
    assert!(inflow.end(End::Closed { exit_code: None }));
    inflow.close_entry();
    assert!(inflow.seal());
    inflow.state().clone()
}

/// What people see of a state, without its times.
fn seen(state: &ExecutionState) -> String {
    let mut state = state.clone();
    let _ = state.take_changes();
    let mut text = format!("{:?} {:?}\n", state.summary.status, state.summary.metadata);
    for step in &mut state.steps {
        (step.started_us, step.ended_us, step.started_at_us, step.duration_us) = (0, None, 0, None);
        text += &format!("{step:?}\n");
    }
    for artifact in &mut state.artifacts {
        artifact.created_us = 0;
        text += &format!("{artifact:?}\n");
    }
    for annotation in &mut state.annotations {
        annotation.time_us = 0;
        text += &format!("{annotation:?}\n");
    }
    let summary = &state.summary;
    text += &format!("{:?} {:?}\n", summary.progress, summary.progress_text);
    text + &format!("{:?} {:?}", state.owners, summary.error_message)
}

/// The events that came from the output, without their times; and the journal must be one without
/// holes.
fn from_output(dir: &Path) -> Vec<(EventKind, u64, u64)> {
    let events: Vec<Event> = read_journal(dir).unwrap().into_iter().map(|(_, e)| e).collect();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event.seq, at as u64 + 1, "no hole, nothing twice");
    }
    assert!(events.is_sorted_by_key(|event| event.offset));
    assert!(events.is_sorted_by_key(|event| event.lines));
    assert!(events.is_sorted_by_key(|event| event.at_us));
    assert!(events.is_sorted_by_key(|event| event.time_us));
    let kinds = events.into_iter().filter(|event| event.kind.is_from_output());
    kinds.map(|event| (event.kind, event.offset, event.lines)).collect()
}

fn copy(from: &Path, to: &Path) {
    for name in ["output.log", "output.idx", "journal.ndjson"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn cut(dir: &Path, name: &str, share: f64) {
    let file = OpenOptions::new().write(true).open(dir.join(name)).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len((size as f64 * share) as u64).unwrap();
}

/// Lines of other systems.
const DIALECTS: &[&str] = &[
    "::group::Deps\n",
    "::endgroup::\n",
    "::error file=a.c,line=3::broke%0Ahere\n",
    "::set-output name=a::b\n",
    "::stop-commands::tok\n",
    "::tok::\n",
    "\x1b[0Ksection_start:1:build\r\x1b[0KBuilding\n",
    "\x1b[0Ksection_end:2:build\r\x1b[0K\n",
    "##[section]Starting: x\n",
    "##vso[task.logdetail id=A;name=Rec;type=build]x\n",
    "##vso[task.logdetail id=A;state=Completed;result=Failed]x\n",
    "##teamcity[testStarted name='t']\n",
    "##teamcity[testFailed name='t' message='m']\n",
    "##teamcity[testFinished name='t' duration='3']\n",
    "unfinished ##teamcity[blockOpened name='b']\n",
    "1..2\n",
    "ok 1 - one\n",
    "not ok 2 - two\n",
    "  ---\n",
    "  ...\n",
    "--- :hammer: Go\n",
];

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z ]{0,12}\n",
        3 => Just("STEP_START:Build\n".to_owned()),
        1 => Just("STEP_START:Other [id=x]\n".to_owned()),
        1 => Just("STEP_START:Inner [parent=x]\n".to_owned()),
        1 => Just("STEP_START:Lost [parent=nobody]\n".to_owned()),
        1 => Just("STEP_START:Critical [stop_on_error=true]\n".to_owned()),
        2 => Just("STEP_COMPLETE:Build\n".to_owned()),
        1 => Just("STEP_COMPLETE:Nothing\n".to_owned()),
        1 => Just("STEP_ERROR:broke\n".to_owned()),
        1 => Just("ARTIFACT:a/b.txt:text\n".to_owned()),
        1 => Just("META:key:value\n".to_owned()),
        1 => (0..100_u8).prop_map(|percent| format!("PROGRESS:{percent}:so far\n")),
        1 => Just("STEP_SKIP:Docs:not today\n".to_owned()),
        4 => proptest::sample::select(DIALECTS).prop_map(str::to_owned),
        1 => Just(format!("token {SECRET}\n")),
        1 => Just("STEP_START:no line end".to_owned()),
        1 => Just("\r\n\n".to_owned()),
    ]
}

/// As many cases as are asked for (`PROPTEST_CASES`), else fewer than usual or more, as they cost.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    if asked { config } else { ProptestConfig { cases: usual, ..config } }
}

/// Records `lines`, is cut off when so much of them was sent, loses so much of each file, and goes on.
fn interrupted(
    lines: &[String],
    cuts: &[usize],
    again: &[usize],
    sent: f64,
    shares: [f64; 3],
    twice: bool,
) -> Result<(), TestCaseError> {
    let text = lines.concat();
    let masked = text.replace(SECRET, "********");

    let whole = tempfile::tempdir().unwrap();
    let mut inflow = Inflow::create(whole.path(), &spec(), secrets()).unwrap();
    feed(&mut inflow, text.as_bytes(), cuts);
    let expected = end(inflow);
    prop_assert_eq!(&fs::read_to_string(whole.path().join("output.log")).unwrap(), &masked);

    let first = tempfile::tempdir().unwrap();
    let mut inflow = Inflow::create(first.path(), &spec(), secrets()).unwrap();
    feed(&mut inflow, &text.as_bytes()[..(text.len() as f64 * sent) as usize], cuts);
    let dir = tempfile::tempdir().unwrap();
    copy(first.path(), dir.path()); // As a kill leaves it: the open entry is not written.
    drop(inflow);
    for (name, share) in ["output.log", "output.idx", "journal.ndjson"].iter().zip(shares) {
        cut(dir.path(), name, share);
    }
    let mut inflow = Inflow::resume(dir.path(), &spec(), secrets()).unwrap();
    if twice {
        drop(inflow);
        inflow = Inflow::resume(dir.path(), &spec(), secrets()).unwrap();
    }
    let offset = inflow.offset() as usize;
    prop_assert!(offset <= text.len());
    inflow.close_files(); // Idle for a while.
    feed(&mut inflow, &text.as_bytes()[offset..], again);
    let state = end(inflow);

    prop_assert_eq!(seen(&state), seen(&expected));
    prop_assert_eq!(from_output(dir.path()), from_output(whole.path()));
    prop_assert_eq!(&fs::read_to_string(dir.path().join("output.log")).unwrap(), &masked);
    let at = |dir: &Path| LogReader::open(dir).unwrap().unwrap().position().unwrap();
    prop_assert_eq!(at(dir.path()), at(whole.path()));
    Ok(())
}

#[test]
fn what_was_decided_late_is_known_again_behind_what_was_decided_before() {
    let lines = [
        "STEP_COMPLETE:Build\n",
        "ok 1 - one\n",
        "1..2\n",
        "token hunter22\n",
        "STEP_COMPLETE:Build\n",
        "1..2\n",
        "##[section]Starting: x\n",
        "ok 1 - one\n",
        "\n",
        "\n",
        "STEP_SKIP:Docs:not today\n",
        "\n",
        "\n",
        "STEP_START:Build\n",
        "STEP_START:Lost [parent=nobody]\n",
        "STEP_START:Other [id=x]\n",
        "STEP_START:Build\n",
    ];
    let lines = lines.map(str::to_owned);
    interrupted(
        &lines,
        &[1],
        &[1],
        0.929_008_298_300_179_3,
        [0.541_163_101_574_504_9, 1.0, 1.0],
        false,
    )
    .unwrap();
}

#[test]
fn a_step_that_is_decided_late_begins_where_it_does_whatever_was_settled_meanwhile() {
    let lines = [
        "STEP_START:Build\n",
        "STEP_COMPLETE:Build\n",
        "ARTIFACT:a/b.txt:text\n",
        "1..2\n",
        "ok 1 - one\n",
    ];
    let lines = lines.map(str::to_owned);
    for size in [1, 8, 9, 20, 60] {
        interrupted(&lines, &[1], &[size], 0.3, [1.0; 3], false).unwrap();
        interrupted(&lines, &[size], &[1], 0.3, [1.0; 3], false).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_finished_log_replayed_gives_the_steps_that_were_recorded(
        lines in proptest::collection::vec(line(), 0..30),
        cuts in proptest::collection::vec(1_usize..60, 1..8),
        again in proptest::collection::vec(1_usize..60, 1..8),
    ) {
        let live = tempfile::tempdir().unwrap();
        let mut inflow = Inflow::create(live.path(), &spec(), secrets()).unwrap();
        feed(&mut inflow, lines.concat().as_bytes(), &cuts);
        let expected = end(inflow);

        // What stands in the log, and nothing else; in other reads.
        let output = fs::read(live.path().join("output.log")).unwrap();
        let replayed = tempfile::tempdir().unwrap();
        let mut inflow = Inflow::create(replayed.path(), &spec(), vec![]).unwrap();
        feed(&mut inflow, &output, &again);
        let state = end(inflow);
        prop_assert_eq!(seen(&state), seen(&expected));
        prop_assert_eq!(from_output(replayed.path()), from_output(live.path()));
        prop_assert_eq!(fs::read(replayed.path().join("output.log")).unwrap(), output);
    }

    #[test]
    fn any_cut_of_the_files_resumed_equals_a_recording_that_was_not_interrupted(
        lines in proptest::collection::vec(line(), 0..30),
        cuts in proptest::collection::vec(1_usize..60, 1..8),
        again in proptest::collection::vec(1_usize..60, 1..8),
        sent in 0.0..1.0_f64,
        shares in proptest::array::uniform3(prop_oneof![Just(1.0), 0.0..1.0_f64]),
        twice in any::<bool>(),
    ) {
        interrupted(&lines, &cuts, &again, sent, shares, twice)?;
    }

    #[test]
    fn half_an_end_is_not_one(
        lines in proptest::collection::vec(line(), 0..12),
        share in 0.0..1.0_f64,
    ) {
        let text = lines.concat();
        let dir = tempfile::tempdir().unwrap();
        let mut inflow = Inflow::create(dir.path(), &spec(), secrets()).unwrap();
        feed(&mut inflow, text.as_bytes(), &[7]);
        let before = fs::metadata(dir.path().join("journal.ndjson")).unwrap().len();
        let expected = end(inflow);
        let path = dir.path().join("journal.ndjson");
        let journal = OpenOptions::new().write(true).open(path).unwrap();
        let size = journal.metadata().unwrap().len();
        journal.set_len(before + ((size - before - 1) as f64 * share) as u64).unwrap();

        let inflow = Inflow::resume(dir.path(), &spec(), secrets()).unwrap();
        prop_assert_eq!(inflow.state().summary.status, Status::Running);
        prop_assert_eq!(inflow.offset(), text.len() as u64);
        prop_assert_eq!(seen(&end(inflow)), seen(&expected));
        from_output(dir.path());
    }
}

#[test]
fn an_end_that_is_recorded_stands() {
    let dir = tempfile::tempdir().unwrap();
    let mut inflow = Inflow::create(dir.path(), &spec(), vec![]).unwrap();
    feed(&mut inflow, b"STEP_START:A\nlast", &[5]);
    let ended = end(inflow);
    let inflow = Inflow::resume(dir.path(), &spec(), vec![]).unwrap();
    assert!(inflow.is_sealed());
    assert_eq!(seen(inflow.state()), seen(&ended));
}

#[test]
fn a_journal_that_read_the_markers_differently_stands_and_nothing_is_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let mut inflow = Inflow::create(dir.path(), &spec(), vec![]).unwrap();
    feed(&mut inflow, b"STEP_START:A\nx\nSTEP_COMPLETE:A\ny\n", &[5]);
    drop(inflow);
    let path = dir.path().join("journal.ndjson");
    let lines = fs::read_to_string(&path).unwrap();
    let seal = |line: &str| {
        let body = line.split(",\"crc\":").next().unwrap().replace("\"A\"", "\"Renamed\"");
        format!("{body},\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(body.as_bytes()))
    };
    let lines: Vec<String> = lines.lines().map(seal).collect();
    fs::write(&path, lines.concat()).unwrap();
    let mut inflow = Inflow::resume(dir.path(), &spec(), vec![]).unwrap();
    feed(&mut inflow, b"STEP_START:B\n", &[5]);
    let state = end(inflow);
    let names: Vec<&str> = state.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["Renamed", "B"]);
    from_output(dir.path());
}
