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

/// The same with `turbo`, which is off by default.
fn with_turbo(output: &str) -> String {
    let selection = Selection::parse("auto,+turbo").unwrap();
    let mut events = Vec::new();
    let mut dialects = Dialects::new(&selection);
    dialects.push(Stream::Merged, output.as_bytes(), 0, &mut |event| events.push(event));
    dialects.end_stream(Stream::Merged, &mut |event| events.push(event));
    dialects.end(Ending::Exit(0), &mut |event| events.push(event));
    short(&events)
}

#[test]
fn turbo_is_read_where_somebody_asks_for_it() {
    let output = "\u{2022} turbo 2.1.0\na:build: cache miss, executing 0123456789abcdef\n";
    assert_eq!(of(output), "");
    assert_eq!(with_turbo(output), "+a#build -0 Success");
    // The banner of npm inside is no script of its own.
    let script = format!("{output}a:build: \na:build: > a@1.0.0 build\na:build: > tsc\n");
    assert_eq!(with_turbo(&script), "+a#build -0 Success");
}

#[test]
fn a_script_is_announced_by_a_blank_line_of_the_same_stream() {
    let banner = "> a@1.0.0 build\n> tsc\n";
    assert_eq!(of(banner), "+build -0 Success", "the first line of all");
    assert_eq!(of(&format!("text\n \t\r\n{banner}")), "+build -0 Success");
    assert_eq!(of(&format!("text\n{banner}")), "");
    let long = " ".repeat(stepflow_markers::LINE_BYTES_MAX + 1);
    assert_eq!(of(&format!("{long}\n{banner}")), "", "a line that long is never looked at");
    let pieces = [(Stream::Stdout, "text\n"), (Stream::Stderr, "\n"), (Stream::Stdout, banner)];
    assert_eq!(short(&events(&pieces, Ending::Exit(0))), "", "the blank one was of another stream");
    let pieces = [(Stream::Stdout, "text\n"), (Stream::Stderr, "\n"), (Stream::Stderr, banner)];
    assert_eq!(short(&events(&pieces, Ending::Exit(0))), "", "npm prints it on standard output");
}

#[test]
fn tools_inside_own_steps_end_with_them() {
    let docker =
        "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.1s\n#2 [1/1] RUN x\n";
    let output = format!("STEP_START:A\n{docker}STEP_START:B\n#2 DONE 3.0s\n#3 [2/2] RUN y\n");
    let found = of(&output);
    // The vertex ends for good when its build says so, also when own steps around it have ended.
    assert_eq!(
        found,
        "+A +0>[internal] load build definition from Dockerfile -1 Success +0>[1/1] RUN x -2 Done \
         -0 Success +B -2 Success +3>[2/2] RUN y -4 Success -3 Success"
    );
    let ansible = "PLAY [p] ***\nTASK [t] ***\nok: [a]\nfatal: [a]: FAILED! => {\"msg\": \"no\"}\n";
    let found = of(&format!("STEP_START:A\n{ansible}STEP_COMPLETE:A\nok: [b]\n"));
    assert_eq!(found, "+A +0>p +1>t !a: no -2 Failure -1 Failure -0 Success");
    let terraform =
        "STEP_START:A\na_b.c: Creating...\nSTEP_COMPLETE:A\na_b.c: Creation complete after 1s\n";
    assert_eq!(of(terraform), "+A +0>a_b.c -1 Done -0 Success");
}

#[test]
fn a_build_that_was_told_over_is_over() {
    let run = "[INFO] ---< g:a >---\n[INFO] --- p:1:compile (x) @ a ---\n";
    let failed = format!("{run}[INFO] BUILD FAILURE\n[ERROR] no\n[INFO] \n");
    assert_eq!(
        of(&format!("{failed}STEP_START:B\n")),
        "+a +0>p:compile (x) -1 Failure -0 Failure +B -2 Success"
    );
    assert_eq!(
        of(&format!("{failed}{run}")),
        "+a +0>p:compile (x) -1 Failure -0 Failure +a +2>p:compile (x) -3 Success -2 Success"
    );
    let gradle = "> Task :a\nBUILD SUCCESSFUL in 3s\nBUILD FAILED in 3s\nExecution failed for task ':a'.\n> no\n";
    assert_eq!(of(gradle), "+:a -0 Done");
}

#[test]
fn no_tool_makes_state_grow_with_its_output() {
    // Each is more than an execution may have of it, and takes a moment all the same.
    let many =
        |count: usize, line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
    let outputs = [
        "#1 [internal] load build definition from x\n".to_owned()
            + &many(30_000, &|n| format!("#{n} [1/1] RUN {n}\n")),
        many(30_000, &|n| format!("a_b.c[{n}]: Creating...\n")),
        "PLAY [p] ***\nTASK [t] ***\n".to_owned()
            + &many(30_000, &|n| format!("failed: [h{n}] (item=x) => {{\"msg\": \"no\"}}\n")),
        many(30_000, &|n| format!("\n> a@1.0.0 s{}\n> npm run s{}\n", n, n + 1)),
        many(30_000, &|n| format!("> Task :t{n}\n")),
        many(30_000, &|n| format!("[INFO] ---< g:a{n} >---\n[INFO] --- p:1:g (x) @ a{n} ---\n")),
        "\u{2022} turbo 2.0.0\n".to_owned()
            + &many(30_000, &|n| format!("p{n}:t: cache miss, executing 0123456789abcdef\n")),
    ];
    for output in outputs {
        let begun = std::time::Instant::now();
        let selection = Selection::parse("auto,+turbo").unwrap();
        let (mut started, mut ended) = (0, 0);
        let mut say = |event: Event| match event.kind {
            EventKind::StepStart { .. } => started += 1,
            EventKind::StepEnd { .. } => ended += 1,
            _ => {}
        };
        let mut dialects = Dialects::new(&selection);
        dialects.push(Stream::Merged, output.as_bytes(), 0, &mut say);
        dialects.end_stream(Stream::Merged, &mut say);
        dialects.end(Ending::Exit(0), &mut say);
        assert!(started <= STEPS_MAX && started == ended, "{started} started, {ended} ended");
        // Quadratic work on thirty thousand lines is minutes here.
        assert!(begun.elapsed().as_secs() < 20, "{:?}: {:?}", &output[..40], begun.elapsed());
    }
}
