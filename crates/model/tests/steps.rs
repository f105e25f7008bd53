//! What markers mean for steps: scripts in, the tree that people see out.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use stepflow_markers::dialects::{self, Dialects, Selection};
use stepflow_model::{
    Event, EventKind, ExecutionId, ExecutionState, Note, NoteKind, Reason, Source, Spec, Status,
    StepStatus,
    steps::{self, At, Outcome},
};

fn spec() -> Spec {
    Spec {
        id: ExecutionId::new(uuid::Uuid::nil()),
        name: "test".into(),
        command: vec!["true".into()],
        cwd: "/".into(),
        env: BTreeMap::new(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: vec![],
        metadata: serde_json::Map::new(),
        user: String::new(),
        created_us: 0,
        source: Source::Cli,
        bound: false,
        timeout_ms: None,
        grace_ms: 0,
        drain_ms: 0,
        stop_on_error: false,
        split_stderr: false,
        shell: false,
        pty: None,
        log_sync: stepflow_model::LogSync::default(),
        containment: stepflow_model::Containment::default(),
        leftover: stepflow_model::Leftover::default(),
        log_max_bytes: 0,
        log_full: stepflow_model::LogFull::default(),
        on_disk_full: stepflow_model::OnDiskFull::default(),
        dialect: stepflow_model::dialect_default(),
        junit: stepflow_model::JunitFiles::default(),
        rerun_of: None,
    }
}

/// A script's output, folded as the recorder folds it; each line takes a second.
struct Run {
    state: ExecutionState,
    events: Vec<Event>,
    stop: Option<String>,
}

fn run(output: &str, stop_on_error: bool, outcome: &Outcome) -> Run {
    let mut run = Run { state: ExecutionState::new(&spec()), events: vec![], stop: None };
    let started = EventKind::Started {
        pid: 1,
        start_ticks: 1,
        boot_id: "boot".into(),
        recorder_pid: 2,
        keeper_pid: 3,
        containment: "keeper".into(),
        cgroup: None,
        host: "host".into(),
    };
    run.emit(started, 0, 0, 0);
    let mut said = Vec::new();
    let mut dialects = Dialects::new(&Selection::auto());
    dialects.push(dialects::Stream::Merged, output.as_bytes(), 0, &mut |event| said.push(event));
    dialects.end_stream(dialects::Stream::Merged, &mut |event| said.push(event));
    run.hear(said, stop_on_error);
    let (offset, count) = (output.len() as u64, output.lines().count() as u64);
    let verdict = steps::verdict(outcome);
    let mut said = Vec::new();
    let ending = steps::ending(&verdict, outcome.exit_code);
    let open = dialects.settle(ending, &mut |event| said.push(event));
    run.hear(said, stop_on_error);
    let verdicts = steps::verdicts(&open);
    for kind in steps::finish(&run.state, &verdict, outcome.exit_code, &verdicts) {
        run.emit(kind, count, offset, count);
    }
    let exited = EventKind::Exited {
        status: verdict.status,
        reason: verdict.reason,
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        core: false,
        message: verdict.message,
        digest: String::new(),
        leftover: vec![],
    };
    run.emit(exited, count, offset, count);
    run
}

impl Run {
    fn hear(&mut self, said: Vec<dialects::Event>, stop_on_error: bool) {
        for (said, opens) in steps::with_openings(said) {
            let (place, line) = (said.place, said.place.line);
            let decision = steps::decide(&self.state, &said, opens, stop_on_error);
            for (at, kind) in decision.events {
                match at {
                    At::LineStart => self.emit(kind, line - 1, place.start, line - 1),
                    At::LineEnd => self.emit(kind, line - 1, place.end, line),
                }
            }
            if self.stop.is_none() {
                self.stop = decision.stop;
            }
        }
    }

    fn emit(&mut self, kind: EventKind, second: u64, offset: u64, lines: u64) {
        let seq = self.events.len() as u64 + 1;
        let time_us = second as i64 * 1_000_000;
        let event = Event { seq, time_us, at_us: second * 1_000_000, offset, lines, kind };
        self.state.apply(&event);
        self.events.push(event);
    }

    /// The steps as people see them.
    fn tree(&self) -> String {
        let lines = self.state.steps.iter().map(|step| {
            let indent = "  ".repeat(step.depth as usize);
            let error = step.error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
            format!(
                "{indent}{} {} lines {}-{}{error}\n",
                step.name,
                step.status,
                step.first_line,
                step.last_line.unwrap_or_default()
            )
        });
        let warnings =
            self.state.annotations.iter().map(|a| format!("! line {}: {}\n", a.line, a.code));
        lines.chain(warnings).collect()
    }
}

fn ok() -> Outcome {
    Outcome { exit_code: Some(0), ..Outcome::default() }
}

fn exit(code: i32) -> Outcome {
    Outcome { exit_code: Some(code), ..Outcome::default() }
}

#[test]
fn a_start_ends_its_sibling_and_the_end_ends_the_rest() {
    let script = "before\nSTEP_START:A\nx\nSTEP_START:B\ny\n";
    insta::assert_snapshot!(run(script, false, &ok()).tree(), @r"
    A completed lines 2-3
    B completed lines 4-5
    ");
    insta::assert_snapshot!(run(script, false, &exit(3)).tree(), @r"
    A completed lines 2-3
    B failed lines 4-5 (the script ended with exit code 3)
    ");
    let cancelled = Outcome {
        signal: Some(15),
        stopped: Some((Reason::User, "cancelled".into())),
        ..Outcome::default()
    };
    insta::assert_snapshot!(run(script, false, &cancelled).tree(), @r"
    A completed lines 2-3
    B cancelled lines 4-5
    ");
}

#[test]
fn steps_with_ids_nest_and_run_side_by_side() {
    let script = "STEP_START:Build [id=b]\nSTEP_START:Docs [id=d]\nSTEP_START:cc [parent=b]\ncc 1\n\
                  STEP_START:ld [parent=b]\nSTEP_COMPLETE:Docs [id=d]\nld 1\nSTEP_ERROR:no symbol [id=b]\nafter\n";
    insta::assert_snapshot!(run(script, false, &ok()).tree(), @r"
    Build failed lines 1-8 (no symbol [id=b])
    Docs completed lines 2-6
      cc completed lines 3-4
      ld failed lines 5-8 (no symbol [id=b])
    ");
}

#[test]
fn a_parent_closes_what_is_inside_it_and_an_unknown_one_is_a_warning() {
    let script = "STEP_START:P [id=p]\nSTEP_START:c1 [parent=p][id=c1]\nSTEP_START:g [parent=c1]\n\
                  STEP_COMPLETE:P\nSTEP_START:x [parent=nobody]\nSTEP_COMPLETE:nothing\nSTEP_COMPLETE:x\nSTEP_ERROR:late\n";
    insta::assert_snapshot!(run(script, false, &ok()).tree(), @r"
    P completed lines 1-4
      c1 completed lines 2-4
        g completed lines 3-4
    x completed lines 5-7
    ! line 5: unknown_parent
    ! line 6: unmatched_complete
    ! line 8: error_outside_step
    ");
}

#[test]
fn a_failed_step_stops_the_script_only_when_it_or_the_run_says_so() {
    for (script, whole, stops) in [
        ("STEP_START:A\nSTEP_ERROR:x\n", false, false),
        ("STEP_START:A\nSTEP_ERROR:x\n", true, true),
        ("STEP_START:A [stop_on_error=true]\nSTEP_ERROR:x\n", false, true),
        ("STEP_START:A [stop_on_error=yes]\nSTEP_ERROR:x\n", false, true),
        ("STEP_START:A [stop_on_error=0]\nSTEP_ERROR:x\n", true, false),
    ] {
        let stop = run(script, whole, &ok()).stop;
        assert_eq!(stop.is_some(), stops, "{script}");
        if stops {
            assert_eq!(stop.unwrap(), "Critical step failed: A - x");
        }
    }
}

#[test]
fn metadata_artifacts_and_durations_land_where_they_belong() {
    let run = run(
        "META:a:1\nSTEP_START:S [duration=60]\nMETA:b:2\nARTIFACT:p:d\nx\nSTEP_COMPLETE:S\nARTIFACT:q\n",
        false,
        &ok(),
    );
    assert_eq!(run.state.summary.metadata["a"], "1");
    let step = &run.state.steps[0];
    assert_eq!((&step.metadata["b"], step.estimated_s), (&"2".into(), Some(60.0)));
    assert_eq!(step.duration_us, Some(4_000_000));
    let owners: Vec<_> = run.state.artifacts.iter().map(|a| (a.path.as_str(), a.step)).collect();
    assert_eq!(owners, [("p", Some(0)), ("q", None)]);
}

#[test]
fn a_skipped_step_stands_beside_what_is_open_and_has_its_line() {
    let script = "STEP_START:A\nx\nSTEP_SKIP:Deploy:not on main\ny\nSTEP_START:P [id=p]\n\
                  STEP_SKIP:inner:no gpu [id=i][parent=p]\nSTEP_SKIP:bare\nz\nSTEP_COMPLETE:A\n";
    let run = run(script, false, &exit(1));
    insta::assert_snapshot!(run.tree(), @r"
    A completed lines 1-9
    Deploy skipped lines 3-3 (not on main)
    P failed lines 5-9 (the script ended with exit code 1)
      inner skipped lines 6-6 (no gpu)
    bare skipped lines 7-7
    ");
    let state = &run.state;
    let summary = &state.summary;
    assert_eq!((summary.total_steps, summary.completed_steps), (5, 1));
    assert_eq!((summary.failed_steps, summary.skipped_steps), (1, 3));
    assert_eq!(summary.current_step, Some(2), "the newest that is not only skipped");
    let owner = |line: &str| state.owner_of(script.find(line).unwrap() as u64);
    assert_eq!((owner("x\n"), owner("STEP_SKIP:Deploy")), (Some(0), Some(1)));
    assert_eq!((owner("y\n"), owner("z\n")), (Some(0), Some(2)));
}

#[test]
fn progress_is_the_newest_open_steps_or_the_executions() {
    let script = "PROGRESS:10:all\nSTEP_START:A [id=a]\nSTEP_START:B [id=b]\nPROGRESS:40:b\n\
                  PROGRESS:20%:a [id=a]\nPROGRESS:55\nSTEP_COMPLETE:B [id=b]\n";
    let state = run(script, false, &ok()).state;
    let said = |step: usize| (state.steps[step].progress, state.steps[step].progress_text.clone());
    assert_eq!(said(0), (Some(20.0), Some("a".to_owned())));
    assert_eq!(said(1), (Some(55.0), None), "the text goes with its number");
    assert_eq!(state.summary.progress_text.as_deref(), Some("all"));
    assert!((state.summary.progress_percentage() - 10.0).abs() < 1e-9, "as the script says");
    let counted = run("STEP_START:A\nPROGRESS:5\nSTEP_SKIP:B\n", false, &ok()).state;
    assert!((counted.summary.progress_percentage() - 50.0).abs() < 1e-9, "one of two completed");
}

#[test]
fn an_expected_duration_is_the_steps_estimate() {
    let script =
        "STEP_START:A [expected=2m30s]\nSTEP_START:B [expected=90]\nSTEP_START:C [expected=fail]\n";
    let steps = run(script, false, &ok()).state.steps;
    let estimates: Vec<_> = steps.iter().map(|step| step.estimated_s).collect();
    assert_eq!(estimates, [Some(150.0), Some(90.0), None]);
    assert_eq!(steps[2].metadata["expected"], "fail");
}

#[test]
fn limits_warn_once_and_lose_nothing() {
    let mut script = String::new();
    for number in 0..=stepflow_model::STEPS_MAX + 100 {
        script.push_str(&format!("STEP_START:s{number}\n"));
    }
    let run = run(&script, false, &ok());
    assert_eq!(run.state.steps.len(), stepflow_model::STEPS_MAX);
    assert_eq!(run.state.annotations.iter().filter(|a| a.code == "step_limit").count(), 1);
    assert_eq!(run.state.steps.last().unwrap().last_line, Some(script.lines().count() as u64));
}

#[test]
fn lines_that_are_too_long_for_markers_are_told_of_once() {
    let line = format!("STEP_START:{}", "n".repeat(stepflow_markers::LINE_BYTES_MAX));
    let run = repeated(&line, 100);
    assert_eq!((run.events.len(), warned(&run, "marker_line_limit")), (1, 1));
    let said = &run.state.annotations[0].message;
    assert!(said.contains("`STEP_START:`") && said.contains("65536 bytes"), "{said}");
    assert_eq!(run.state.steps.len(), 0);
}

#[test]
fn metadata_is_taken_down_when_it_changes_and_not_without_end() {
    const MOST: usize = stepflow_model::METAS_MAX;
    let mut run = Run { state: ExecutionState::new(&spec()), events: vec![], stop: None };
    let mut dialects = Dialects::new(&Selection::auto());
    let mut say = |key: &str, value: &str| {
        repeat(&mut run, &mut dialects, &format!("META:{key}:{value}"), 1);
        run.events.len()
    };
    for _ in 0..100 {
        assert_eq!(say("k", "same"), 1);
    }
    for number in 1..MOST * 2 {
        say("k", &number.to_string());
    }
    assert_eq!(say("other", "x"), MOST + 1, "and one warning");
    assert_eq!(warned(&run, "meta_limit"), 1);
    assert_eq!(run.state.summary.metadata["k"], (MOST - 1).to_string());

    let mut run = Run { state: ExecutionState::new(&spec()), events: vec![], stop: None };
    let mut dialects = Dialects::new(&Selection::auto());
    for number in 0..stepflow_model::METADATA_MAX + 100 {
        repeat(&mut run, &mut dialects, &format!("META:k{number}:v"), 1);
    }
    assert_eq!(run.events.len(), stepflow_model::METADATA_MAX + 1);
}

/// The same marker again and again, and nothing else.
fn repeated(line: &str, count: usize) -> Run {
    let mut run = Run { state: ExecutionState::new(&spec()), events: vec![], stop: None };
    let mut dialects = Dialects::new(&Selection::auto());
    repeat(&mut run, &mut dialects, line, count);
    run
}

fn repeat(run: &mut Run, dialects: &mut Dialects, line: &str, count: usize) {
    let lines = format!("{line}\n").repeat(count);
    let mut said = Vec::new();
    dialects.push(dialects::Stream::Merged, lines.as_bytes(), 0, &mut |event| said.push(event));
    run.hear(said, false);
}

fn warned(run: &Run, code: &str) -> usize {
    let is =
        |event: &&Event| matches!(&event.kind, EventKind::Warning { code: c, .. } if c == code);
    run.events.iter().filter(is).count()
}

#[test]
fn each_limit_is_kept_to_the_one_and_past_it_there_is_one_warning_however_often() {
    const STEPS: usize = stepflow_model::STEPS_MAX;
    const FILES: usize = stepflow_model::ARTIFACTS_MAX;
    for (count, past) in [(STEPS - 1, 0), (STEPS, 0), (STEPS + 1, 1), (STEPS * 100, 1)] {
        let run = repeated("STEP_SKIP:s:r", count);
        assert_eq!((run.state.steps.len(), warned(&run, "step_limit")), (count.min(STEPS), past));
        assert_eq!(run.events.len(), 2 * count.min(STEPS) + past, "of {count} steps");
    }
    for (count, past) in [(FILES - 1, 0), (FILES, 0), (FILES + 1, 1), (FILES * 100, 1)] {
        let run = repeated("ARTIFACT:a.txt:d", count);
        let files = run.state.artifacts.len();
        assert_eq!((files, warned(&run, "artifact_limit")), (count.min(FILES), past));
        assert_eq!(run.events.len(), count.min(FILES) + past, "of {count} artifacts");
    }
}

#[test]
fn warnings_end_with_one_that_says_so_and_those_about_limits_are_still_said_once() {
    const MOST: usize = stepflow_model::WARNINGS_MAX;
    for marker in ["STEP_COMPLETE:none", "STEP_ERROR:nowhere"] {
        for (count, said, last) in
            [(MOST - 1, MOST - 1, 0), (MOST, MOST, 0), (MOST + 1, MOST, 1), (MOST * 100, MOST, 1)]
        {
            let run = repeated(marker, count);
            assert_eq!(run.events.len(), said + last, "of {count} {marker}");
            assert_eq!(warned(&run, "warning_limit"), last);
        }
    }
    // As many as the state holds annotations, from elsewhere and from here; then limits.
    let mut full = Run { state: ExecutionState::new(&spec()), events: vec![], stop: None };
    let mut dialects = Dialects::new(&Selection::auto());
    repeat(&mut full, &mut dialects, "STEP_COMPLETE:none", MOST * 2);
    for number in 0..stepflow_model::ANNOTATIONS_MAX {
        let code = "clock_jump".to_owned();
        full.emit(EventKind::Warning { code, message: number.to_string() }, 0, 0, 0);
    }
    assert_eq!(full.state.annotations.len(), stepflow_model::ANNOTATIONS_MAX);
    let before = full.events.len();
    let lines = ["STEP_SKIP:s:r", "STEP_START:s [parent=none]", "ARTIFACT:a:d", "STEP_COMPLETE:x"];
    for line in lines {
        repeat(&mut full, &mut dialects, line, 30_000);
    }
    let added = full.events.len() - before;
    let most = 2 * stepflow_model::STEPS_MAX + stepflow_model::ARTIFACTS_MAX + 2;
    assert_eq!(added, most, "steps, files and a word about each");
    assert_eq!((warned(&full, "step_limit"), warned(&full, "artifact_limit")), (1, 1));
    assert_eq!(full.state.summary.warnings as usize, MOST + 1 + 1_000 + 2);
}

#[test]
fn a_recorded_end_wins_over_a_verdict_of_loss() {
    let mut ended = run("STEP_START:A\n", false, &ok()).state;
    let before = ended.clone();
    ended.apply_note(&Note { time_us: 9, kind: NoteKind::Lost { reason: Reason::RecorderLost } });
    assert_eq!(ended, before);

    let whole = run("STEP_START:A\nSTEP_START:B\n", false, &ok());
    let mut lost = ExecutionState::new(&spec());
    whole.events[..3].iter().for_each(|event| lost.apply(event));
    lost.apply_note(&Note {
        time_us: 9_000_000,
        kind: NoteKind::Lost { reason: Reason::RecorderLost },
    });
    assert_eq!(lost.summary.status, Status::Failed);
    assert_eq!(lost.summary.exit_code, None);
    assert!(lost.steps.iter().all(|step| step.status.is_end()));
    let after = lost.clone();
    whole.events[3..].iter().for_each(|event| lost.apply(event));
    assert_eq!(lost.summary.status, after.summary.status, "the end is final");
}

proptest! {
    /// Whatever a script prints: every step has ended, in the tree and in the counts, every byte
    /// has one owner, and the fold does not depend on how the events are delivered.
    #[test]
    fn any_sequence_of_markers_folds_to_a_whole(
        lines in proptest::collection::vec((0_u8..11, 0_u8..3, 0_u8..4), 0..40),
        code in 0_i32..2,
    ) {
        let mut script = String::new();
        for (kind, name, other) in lines {
            script.push_str(&match kind {
                0 => format!("STEP_START:n{name}\n"),
                1 => format!("STEP_START:n{name} [id=k{other}]\n"),
                2 => format!("STEP_START:n{name} [parent=k{other}]\n"),
                3 => format!("STEP_START:n{name} [id=k{other}][parent=n{name}]\n"),
                4 => format!("STEP_COMPLETE:n{name}\n"),
                5 => format!("STEP_COMPLETE:n{name} [id=k{other}]\n"),
                6 => "STEP_ERROR:e\n".to_owned(),
                7 => format!("STEP_SKIP:n{name}:why [parent=k{other}][id=k{name}]\n"),
                8 => format!("PROGRESS:{name}{other} [id=k{other}]\n"),
                9 => format!("STEP_SKIP:n{name}\n"),
                _ => "text\n".to_owned(),
            });
        }
        let run = run(&script, false, &exit(code));
        let state = &run.state;
        prop_assert!(state.open.is_empty());
        prop_assert!(state.steps.iter().all(|s| s.status.is_end() && s.end_offset.is_some()));
        let count = |status| state.steps.iter().filter(|s| s.status == status).count() as u32;
        prop_assert_eq!(state.summary.completed_steps, count(StepStatus::Completed));
        prop_assert_eq!(state.summary.failed_steps, count(StepStatus::Failed));
        prop_assert_eq!(state.summary.skipped_steps, count(StepStatus::Skipped));
        prop_assert!(state.owners.is_sorted_by(|a, b| a.0 < b.0));
        for step in &state.steps {
            prop_assert!(step.parent.is_none_or(|parent| parent < step.index));
            if let Some(parent) = step.parent {
                let parent = &state.steps[parent as usize];
                prop_assert!(parent.start_offset <= step.start_offset);
                prop_assert!(step.end_offset <= parent.end_offset);
            }
            prop_assert!(step.start_offset <= step.end_offset.unwrap());
        }
        let mut twice = ExecutionState::new(&spec());
        for event in run.events.iter().chain(&run.events) {
            twice.apply(event);
        }
        let _ = twice.take_changes();
        let mut once = run.state.clone();
        let _ = once.take_changes();
        prop_assert_eq!(twice, once);
    }
}

#[test]
fn a_wish_in_the_notes_is_shown_until_the_recorder_has_taken_it_down() {
    let started = run("", false, &Outcome::default());
    let mut state = ExecutionState::new(&spec());
    state.apply(&started.events[0]);
    let wish = NoteKind::CancelWished { by: "ann".into() };
    state.apply_note(&Note { time_us: 5, kind: wish.clone() });
    assert_eq!((state.summary.cancelling, state.wish.as_deref()), (true, Some("ann")));
    state.apply_note(&Note { time_us: 6, kind: NoteKind::CancelWished { by: "bob".into() } });
    assert_eq!(state.wish.as_deref(), Some("ann"), "a second one does not undo the first");
    assert_eq!(state.summary.status, Status::Running, "a wish ends nothing");
    let taken = EventKind::CancelRequested { reason: Reason::User, by: "cancelled by ann".into() };
    let event = Event { seq: 2, time_us: 6, at_us: 6, offset: 0, lines: 0, kind: taken };
    state.apply(&event);
    assert_eq!((state.summary.cancelling, state.wish.clone()), (true, None));
    // A fold that begins anew takes the journal first: what was taken down is not asked for again.
    state.apply_note(&Note { time_us: 5, kind: wish });
    assert_eq!(state.wish, None);
}
