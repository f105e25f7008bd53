//! What holds between dialects, and where the limits are.

use std::fmt::Write;

use stepflow_markers::dialects::{
    Dialects, Ending, Event, EventKind, STEPS_MAX, Selection, Stream,
};

fn events(pieces: &[(Stream, &str)], ending: Ending) -> Vec<Event> {
    let mut events = Vec::new();
    let mut dialects = Dialects::new(&Selection::auto());
    let mut offset = 0;
    for (stream, piece) in pieces {
        dialects.push(*stream, piece.as_bytes(), offset, &mut |event| events.push(event));
        offset += piece.len() as u64;
    }
    for stream in [Stream::Stdout, Stream::Stderr] {
        dialects.end_stream(stream, &mut |event| events.push(event));
    }
    dialects.end(ending, &mut |event| events.push(event));
    events
}

/// Steps as `+parent>name` and `-number status`, errors as `!message`.
fn short(events: &[Event]) -> String {
    let mut short = String::new();
    for event in events {
        match &event.kind {
            EventKind::StepStart { parent, name, .. } => {
                let parent = parent.map_or_else(String::new, |parent| format!("{}>", parent.0));
                write!(short, "+{parent}{name} ").unwrap();
            }
            EventKind::StepEnd { step, status, .. } => {
                write!(short, "-{} {status:?} ", step.0).unwrap();
            }
            EventKind::Annotation(annotation) => write!(short, "!{} ", annotation.message).unwrap(),
            _ => {}
        }
    }
    short.trim_end().to_owned()
}

fn of(output: &str) -> String {
    short(&events(&[(Stream::Merged, output)], Ending::Exit(0)))
}

#[test]
fn what_is_suspended_is_suspended_for_own_markers_too() {
    let output = "::stop-commands::t\nSTEP_START:no\n1..1\nok 1\n::t::\nSTEP_START:yes\n";
    assert_eq!(of(output), "+yes -0 Success");
}

#[test]
fn the_line_that_ends_an_unfinished_quotation_is_everybodys() {
    let quoted = "TAP version 13\n1..2\nnot ok 1 - a\n  ---\n  x: |\n    ::error::no\n";
    assert_eq!(of(&format!("{quoted}::error::yes\n")), "+TAP !yes -0 Failure");
    assert_eq!(of(&format!("{quoted}STEP_START:own\n")), "+TAP +0>own -1 Done -0 Failure");
}

#[test]
fn own_steps_are_inside_groups_and_groups_inside_own_steps() {
    let output =
        "STEP_START:A\n::group::G\nSTEP_START:B\nSTEP_START:C\n::endgroup::\nSTEP_START:D\n";
    assert_eq!(of(output), "+A +0>G +1>B -2 Success +1>C -3 Done -1 Done -0 Success +D -4 Success");
    // A failed own step fails the own steps inside it, and no group.
    let output =
        "STEP_START:A [id=a]\nSTEP_START:B [id=b] [parent=a]\n::group::G\nSTEP_ERROR:x [id=a]\n";
    assert_eq!(of(output), "+A +0>B +1>G -2 Done -1 Failure -0 Failure");
}

#[test]
fn the_streams_are_cut_apart_and_meet_in_one_tree() {
    let pieces = [
        (Stream::Stdout, "unfinished "),
        (Stream::Stderr, "::group::G\n"),
        (Stream::Stdout, "line\n::gro"),
        (Stream::Stderr, "::error::e\n"),
        (Stream::Stdout, "up::H\n"),
    ];
    let found = events(&pieces, Ending::Cancelled);
    assert_eq!(short(&found), "+G !e +0>H -1 Cancelled -0 Cancelled");
}

#[test]
fn an_end_without_an_exit_code_is_a_failure() {
    let found = events(&[(Stream::Merged, "::group::G\n")], Ending::Failed);
    assert_eq!(short(&found), "+G -0 Failure");
}

#[test]
fn too_many_steps_are_said_once_and_stay_text() {
    let output = "::group::g\n::endgroup::\n".repeat(STEPS_MAX + 5);
    let found = events(&[(Stream::Merged, &output)], Ending::Exit(0));
    let count = |is: fn(&EventKind) -> bool| found.iter().filter(|e| is(&e.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::StepStart { .. })), STEPS_MAX);
    assert_eq!(count(|kind| matches!(kind, EventKind::Warning { code: "step_limit", .. })), 1);
}

#[test]
fn too_many_loose_steps_at_once_are_text() {
    let open = |number| format!("##vso[task.logdetail id={number};name=n;type=t]made\n");
    let output: String = (0..1_200).map(open).collect();
    let found = events(&[(Stream::Merged, &output)], Ending::Exit(0));
    let count = |is: fn(&EventKind) -> bool| found.iter().filter(|e| is(&e.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::StepStart { loose: true, .. })), 1_000);
    assert_eq!(count(|kind| matches!(kind, EventKind::StepEnd { .. })), 1_000);
    let text = |kind: &EventKind| matches!(kind, EventKind::Log { text, .. } if text == "made");
    assert_eq!(count(text), 200);
}

#[test]
fn a_line_full_of_openings_is_read_in_a_moment() {
    // Each would search to the line's end for its closing bracket: quadratic without a bound.
    let fill = |text: &str| {
        format!("##vso[task.debug]\n##teamcity[x]\n{}\n", text.repeat(64_000 / text.len()))
    };
    for opening in
        ["##vso[task.debug ", "##teamcity[a b='", "section_start:1:", "travis_fold:start:a", "::"]
    {
        let output = fill(opening);
        let begun = std::time::Instant::now();
        events(&[(Stream::Merged, &output)], Ending::Exit(0));
        // Quadratic work is billions of steps: minutes here.
        assert!(begun.elapsed().as_secs() < 20, "{opening}: {:?}", begun.elapsed());
    }
}
