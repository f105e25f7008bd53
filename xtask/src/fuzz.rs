//! `cargo xtask fuzz`: every target of `fuzz/` for some seconds, guided by coverage, with the stable
//! compiler: the flags are those that cargo-fuzz gives without a sanitizer, so that nothing has to be
//! installed for it. Our code is safe Rust: what a sanitizer would find, a panic says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

use crate::need;

const USAGE: &str = "usage: cargo xtask fuzz [--seconds 30] [--seed N] [NAME…]";
/// For each target, in CI.
const SECONDS: u64 = 30;
/// The target of all dialects has as many times the seconds of the others: each of two dozen state
/// machines behind its first byte.
const WIDE: (&str, u64) = ("dialects", 4);
/// What makes a program tell libFuzzer where it has been.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// A target never needs more memory, in MiB.
const MEMORY_MAX: u64 = 1024;
/// Nor more time for one input, in seconds.
const INPUT_SECONDS_MAX: u64 = 10;

/// What one target came to.
struct Fuzzed {
    name: String,
    inputs: u64,
    found: Option<String>,
}

/// Builds all targets and runs those that are named, two at a time.
pub fn fuzz(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut seconds, mut seed, mut names) = (SECONDS, crate::rigs::SEED, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            name if !name.starts_with('-') => names.push(name.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let dir = root.join("fuzz");
    let known = targets(&dir)?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target {name:?}; there are {}", known.join(", ")));
    }
    let mut chosen: Vec<String> =
        known.into_iter().filter(|name| names.is_empty() || names.contains(name)).collect();
    chosen.sort_by_key(|name| name != WIDE.0); // What takes longest begins first.
    need::packages(["g++"].into_iter()); // libFuzzer is C++.
    let triple = triple()?;
    let begun = Instant::now();
    // In the environment: an explicit target keeps the flags away from build scripts.
    let status = Command::new("cargo")
        .args(["build", "--release", "--bins", "--locked", "--target", &triple])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", root.join("target/fuzz"))
        .current_dir(&dir)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the targets do not build: {status}"));
    }
    println!("--- built in {:.0} s", begun.elapsed().as_secs_f64());
    let programs = root.join("target/fuzz").join(&triple).join("release");
    let begun = Instant::now();
    let waiting = Mutex::new(chosen.iter());
    let done: Vec<Fuzzed> = thread::scope(|scope| {
        let one = || {
            let mut mine = Vec::new();
            loop {
                let next = waiting.lock().ok().and_then(|mut names| names.next());
                let Some(name) = next else { return mine };
                mine.push(one(&dir, &programs, name, seconds, seed));
            }
        };
        let threads = [scope.spawn(one), scope.spawn(one)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let took = begun.elapsed().as_secs_f64();
    for fuzzed in &done {
        let found = fuzzed.found.as_deref().unwrap_or("nothing");
        println!("{:10} {:>10} inputs: {found}", fuzzed.name, fuzzed.inputs);
    }
    let inputs: u64 = done.iter().map(|fuzzed| fuzzed.inputs).sum();
    let broken: Vec<String> = done
        .iter()
        .filter_map(|fuzzed| Some(format!("{}: {}", fuzzed.name, fuzzed.found.as_ref()?)))
        .collect();
    if broken.is_empty() && done.len() == chosen.len() {
        println!(
            "fuzz HELD: {} targets, {seconds} s each ({}: {} s), {inputs} inputs, 0 panics, \
             0 assertions broken; seed {seed}, {took:.1} s",
            done.len(),
            WIDE.0,
            seconds * WIDE.1
        );
        return Ok(());
    }
    println!("fuzz BROKEN: {}; seed {seed}, after {took:.1} s", broken.join("; "));
    Err("a target found something".to_owned())
}

/// Names of the files of `fuzz_targets`, each of which is a target.
fn targets(dir: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(dir.join("fuzz_targets")).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// What we build for, as the compiler says it.
fn triple() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or("rustc does not say what it builds for".to_owned())
}

/// Runs one target, from the seeds that are committed and what earlier runs kept.
fn one(dir: &Path, programs: &Path, name: &str, seconds: u64, seed: u64) -> Fuzzed {
    let seconds = if name == WIDE.0 { seconds * WIDE.1 } else { seconds };
    let kept = programs.join(format!("corpus-{name}"));
    let found: PathBuf = programs.join(format!("found-{name}-"));
    let _ = fs::create_dir_all(&kept);
    let output = Command::new(programs.join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={}", seed % 4_000_000_000 + 1))
        .arg(format!("-rss_limit_mb={MEMORY_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg("-max_len=4096")
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}", found.display()))
        .arg(&kept)
        .arg(dir.join("seeds").join(name))
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            return Fuzzed { name: name.to_owned(), inputs: 0, found: Some(error.to_string()) };
        }
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let number = |start: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(start)?.trim().parse().ok())
    };
    let inputs = number("stat::number_of_executed_units:").unwrap_or(0);
    let said = || {
        let panic = text.lines().skip_while(|line| !line.contains("panicked at"));
        let mut said: Vec<&str> = panic.take(2).collect();
        if said.is_empty() {
            said.extend(text.lines().rev().find(|line| line.contains("ERROR")));
        }
        let file = text.lines().find_map(|line| line.split("Test unit written to ").nth(1));
        format!("{} ({})", said.join(" "), file.unwrap_or("no input was kept"))
    };
    let found = if !output.status.success() {
        Some(said())
    } else if inputs == 0 {
        Some("it ran nothing".to_owned())
    } else {
        None
    };
    Fuzzed { name: name.to_owned(), inputs, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_and_has_seeds() {
        let dir = crate::root().join("fuzz");
        let names = targets(&dir).unwrap();
        assert!(names.len() >= 10, "{names:?}");
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
            let seeds = fs::read_dir(dir.join("seeds").join(&name)).unwrap().count();
            assert!(seeds > 0, "{name} begins from nothing");
        }
    }
}
