//! `cargo xtask prop`: the property tests that stand for a guarantee, with as many cases as the contract
//! asks for, where an ordinary run has some hundreds.

use std::{path::Path, process::Command, time::Instant};

use crate::{need, run};

const USAGE: &str = "usage: cargo xtask prop [--cases N] [--seed N]";
/// Of each property in CI.
const CASES: u64 = 10_000;

/// A number, the crate and the test; times more cases than others, 0: as many as it says itself.
const PROPERTIES: [(&str, &str, &str, u64); 16] = [
    ("G11", "stepflow-record", "each_stream_reads_back_in_the_order_in_which_it_was_written", 1),
    ("G12", "stepflow-record", "any_pattern_of_cuts_brings_every_byte_once", 1),
    ("G12", "stepflow-record", "reading_on_from_any_offset_brings_the_same_bytes_and_numbers", 1),
    ("G12", "stepflow-record", "lines_are_the_same_from_every_place", 1),
    ("F14", "stepflow-record", "damage_is_never_taken_for_proven", 2),
    ("F14", "stepflow-record", "a_record_cut_at_every_byte_recovers_what_is_proven", 0),
    ("G15", "stepflow-markers", "the_split_into_reads_changes_nothing", 1),
    ("G15", "stepflow-markers", "no_bytes_make_it_panic", 1),
    ("G15", "stepflow-model", "any_sequence_of_markers_folds_to_a_whole", 1),
    (
        "G15",
        "stepflow-recorder",
        "any_cut_of_the_files_resumed_equals_a_recording_that_was_not_interrupted",
        1,
    ),
    ("G15", "stepflow-recorder", "a_finished_log_replayed_gives_the_steps_that_were_recorded", 1),
    ("S13", "stepflow-recorder", "no_form_of_a_secret_comes_through_whatever_the_split", 10),
    ("S13", "stepflow-recorder", "secrets_that_come_one_by_one_are_masked_from_then_on", 1),
    ("G23", "stepflow-view", "every_byte_is_in_exactly_one_token", 1),
    ("G23", "stepflow-view", "what_is_shown_is_shown_as_itself", 1),
    ("G23", "stepflow-view", "no_bytes_make_it_panic", 0),
];

/// Runs them all.
pub fn prop(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut cases, mut seed) = (CASES, crate::rigs::SEED);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.parse::<u64>().ok()).ok_or(USAGE)?;
        match arg.as_str() {
            "--cases" => cases = number,
            "--seed" => seed = number,
            _ => return Err(USAGE.to_owned()),
        }
    }
    need::nextest()?;
    // All that the other tests are built with, so that nothing is built a second time.
    let nextest = ["nextest", "run", "--workspace", "--cargo-profile", "ci"];
    let build = [&nextest[..], &["--no-run"]].concat();
    run(root, "cargo", &build)?;
    let begun = Instant::now();
    let (mut total, mut broken) = (0, Vec::new());
    let mut groups: Vec<u64> = PROPERTIES.iter().map(|(.., times)| *times).collect();
    groups.sort_unstable();
    groups.dedup();
    for times in groups {
        let of_group = || PROPERTIES.iter().filter(move |(.., more)| *more == times);
        let filter: Vec<String> =
            of_group().map(|(_, _, test, _)| format!("test({test})")).collect();
        let filter = filter.join(" | ");
        let mut cargo = Command::new("cargo");
        crate::building(&mut cargo);
        let output = cargo
            .args(nextest)
            .args(["--profile", "prop", "--no-fail-fast", "--status-level", "pass"])
            .args(["-E", &filter])
            .env("PROPTEST_CASES", (cases * times.max(1)).to_string())
            .env("PROPTEST_RNG_SEED", seed.to_string())
            .env("PROPTEST_MAX_GLOBAL_REJECTS", (cases * times.max(1)).to_string())
            .current_dir(root)
            .output()
            .map_err(|error| format!("cargo nextest: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        print!("{text}{}", String::from_utf8_lossy(&output.stdout));
        for (id, package, test, _) in of_group() {
            let passed = text.lines().any(|line| {
                line.contains("PASS") && line.contains(package) && line.trim_end().ends_with(test)
            });
            if passed {
                total += cases * times;
            } else {
                broken.push(format!("{id} {test}"));
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    if broken.is_empty() {
        let count = PROPERTIES.len();
        println!("prop HELD: {count} properties, {total} cases; seed {seed}, {took:.1} s");
        return Ok(());
    }
    println!("prop BROKEN: {}; seed {seed}, after {took:.1} s", broken.join("; "));
    Err("a property does not hold".to_owned())
}
