//! Checks and tests of the whole workspace.
//!
//! `cargo xtask test`: installs what the tests need and runs them all.
//! `cargo xtask check`: formatting, lints, the tidy rules, dependencies, documentation, the page's checks.
//! `cargo xtask openapi`: the OpenAPI document against a server (part of `test`).
//! `cargo xtask codegen [--check]`: the page's types from the wire's.
//! `cargo xtask rigs [NAME…]`: breaks the whole on purpose (part of `test`; `tests/rigs/README.md`).
//! `cargo xtask soak [--minutes 60]`: the same with as much as the time allows.
//! `cargo xtask bench [--smoke | --full | --page | --figures] [PART…]`: what this machine can carry; `--smoke`
//! fails far from the bars, `--full` is kept in `docs/performance/` and shown in `docs/performance.md`.
//! `cargo xtask fuzz [--seconds 30] [NAME…]`, `cargo xtask prop [--cases N]`: two of them by themselves.
//! `cargo xtask prove NUMBER…`: every test and rig of a guarantee of `docs/reliability.md`.
//! `cargo xtask reliability [--keep | --check]`: that page, from its table and the last figures.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to a person")]

mod bench; // figures, kept and shown
mod codegen; // what is generated and committed
mod fuzz; // any bytes, guided by coverage
mod need; // what the tests need, installed if it is missing
mod page; // the page's tests as a rig
mod prop; // property tests with many cases
mod reliability; // docs/reliability.md, and what stands for one of its numbers
mod rigs; // the whole is broken on purpose
mod tidy; // which crate may use which

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

/// A run answers whether a change broke something, so it tries what it tried before. Looking for
/// what nobody has tried is another matter: set these to something else, or the rounds higher.
const SEEDS: [(&str, &str); 2] =
    [("STEPFLOW_TEST_SEED", "20261124"), ("PROPTEST_RNG_SEED", "20261124")];

fn main() -> ExitCode {
    let task = env::args().nth(1).unwrap_or_default();
    let args: Vec<String> = env::args().skip(2).collect();
    let done = match task.as_str() {
        "test" => test(&args),
        "rigs" => rigs::rigs(&root(), &args),
        "soak" => rigs::soak::soak(&root(), &args),
        "page" => page::page(&root(), &args),
        "fuzz" => fuzz::fuzz(&root(), &args),
        "prop" => prop::prop(&root(), &args),
        "reliability" => reliability::reliability(&root(), &args),
        "prove" => reliability::prove(&root(), &args),
        "check" => check(),
        "tidy" => tidy::tidy(&root()),
        "openapi" => openapi(),
        "bench" => bench::bench(&root(), &args),
        "codegen" => match env::args().nth(2).as_deref() {
            None => codegen::codegen(&root(), false),
            Some("--check") => codegen::codegen(&root(), true),
            Some(_) => Err("usage: cargo xtask codegen [--check]".to_owned()),
        },
        _ => Err("usage: cargo xtask test [--strict] | check | tidy | openapi | bench | \
                  codegen [--check] | rigs [NAME…] | soak | fuzz | prop | prove NUMBER… | reliability"
            .to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's directory.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The surroundings in which everything is built: where they differ, build scripts run again, and what
/// rests on them is built again, each time that the one or the other builds.
fn building(command: &mut Command) {
    command.env("STEPFLOW_REQUIRE_UI", "1");
    // What cargo said to us is not for the cargo that we call.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

/// Runs one command in `dir`, shown, timed; anything but success is an error.
fn run(dir: &Path, program: &str, args: &[&str]) -> Result<(), String> {
    let shown = format!("{program} {}", args.join(" "));
    println!("--- {shown}");
    let begun = Instant::now();
    let mut command = Command::new(program);
    building(command.args(args).current_dir(dir));
    for (name, seed) in SEEDS {
        if env::var_os(name).is_none() {
            command.env(name, seed);
        }
    }
    let status = command.status().map_err(|error| format!("cannot run {program}: {error}"))?;
    println!("--- {:.0} s: {shown}", begun.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// `--strict`: a rig that cannot run here is a failure, as in CI.
fn test(args: &[String]) -> Result<(), String> {
    if args.iter().any(|arg| arg != "--strict") {
        return Err("usage: cargo xtask test [--strict]".to_owned());
    }
    let root = root();
    let web = root.join("web");
    need::tools()?;
    need::page(&web)?;
    run(&web, "npm", &["run", "--silent", "build"])?;
    run(&web, "npm", &["test", "--silent"])?;
    // One build for tests and page: the profile `ci` is release without link-time optimization.
    run(
        &root,
        "cargo",
        &["nextest", "run", "--workspace", "--cargo-profile", "ci", "--no-fail-fast"],
    )?;
    run(&root, "cargo", &["test", "--workspace", "--profile", "ci", "--doc", "--quiet"])?;
    openapi()?;
    bench::bench(&root, &["--smoke".to_owned()])?;
    // Last: their line with the counts ends the whole. The page's tests are one of them.
    rigs::rigs(&root, args)
}

/// The OpenAPI document against its standard, its examples, and a running server.
fn openapi() -> Result<(), String> {
    let root = root();
    let python = need::openapi(&root)?;
    run(&root, &python, &["xtask/openapi/check.py", "target/ci/stepflow", "60"])
}

fn check() -> Result<(), String> {
    let root = root();
    let web = root.join("web");
    run(&root, "cargo", &["fmt", "--all", "--check"])?;
    tidy::tidy(&root)?;
    codegen::codegen(&root, true)?;
    reliability::reliability(&root, &["--check".to_owned()])?;
    need::page(&web)?;
    run(&web, "npm", &["run", "--silent", "check"])?;
    // All features: the code that `codegen` runs, too.
    let lints =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(&root, "cargo", &lints)?;
    run(&root, "cargo", &["doc", "--workspace", "--no-deps", "--quiet"])?;
    need::deny()?;
    run(&root, "cargo", &["deny", "check", "bans", "licenses", "sources"])
}
