//! The page's tests in a headless browser, said as a rig says it.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{need, run};

const USAGE: &str = "usage: cargo xtask page [--only FILE.test.mjs] [--seed N]";

/// `cargo xtask page`: builds the page if it is not there, runs `web/e2e`, or one file of it.
pub fn page(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut seed, mut only) = (crate::rigs::SEED.to_string(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--seed" => seed.clone_from(value),
            "--only" => only = Some(format!("e2e/{value}")),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let web = root.join("web");
    need::tools()?;
    need::page(&web)?;
    if !web.join("dist/index.html").is_file() {
        run(&web, "npm", &["run", "--silent", "build"])?;
    }
    let begun = Instant::now();
    let mut tests = match &only {
        None => Command::new("npm"),
        Some(_) => Command::new("node"),
    };
    match &only {
        None => tests.args(["run", "--silent", "e2e"]),
        Some(file) => tests.args(["--test", file]),
    };
    // Of another checkout, whose programs are elsewhere.
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        tests.env("STEPFLOW_BIN", Path::new(&target).join("ci/stepflow"));
    }
    let output = tests
        .current_dir(&web)
        .env("STEPFLOW_TEST_SEED", &seed)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", tests.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let took = begun.elapsed().as_secs_f64();
    let count = |word| count(&text, word);
    let (passed, failed, skipped) = (count("pass"), count("fail"), count("skipped"));
    if output.status.success() && passed > 0 && failed == 0 && skipped == 0 {
        println!("page HELD: {passed} tests in a headless browser; seed {seed}, {took:.1} s");
        return Ok(());
    }
    let first = first_failed(&text).map(|name| format!(", the first: {name}")).unwrap_or_default();
    let what = format!("{passed} passed, {failed} failed, {skipped} skipped{first}");
    println!("page BROKEN: {what}; seed {seed}, after {took:.1} s");
    Err(format!("web/e2e: {}", output.status))
}

/// The name behind `not ok 3 - `, or behind a cross and before the time that it took.
fn first_failed(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find_map(|line| {
        if let Some(rest) = line.strip_prefix("not ok ") {
            return rest.split_once(" - ").map(|(_, name)| name);
        }
        let rest = line.strip_prefix("✖ ")?;
        rest.rsplit_once(" (").map(|(name, _)| name)
    })
}

/// `ℹ pass 12`, or `# pass 12` where nobody looks.
fn count(text: &str, word: &str) -> u64 {
    text.lines()
        .rev()
        .find_map(|line| {
            let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
            rest.strip_prefix(word)?.trim().parse().ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_both_spellings() {
        assert_eq!(count("# tests 9\n# pass 7\n# fail 2\n", "pass"), 7);
        assert_eq!(count("ℹ tests 9\nℹ pass 8\nℹ fail 1\n", "fail"), 1);
        assert_eq!(count("nothing", "pass"), 0);
    }

    #[test]
    fn the_first_test_that_failed_is_named() {
        let tap = "ok 1 - one\n    not ok 2 - U1: a name - of two parts\n  not ok 1 - three\n";
        assert_eq!(first_failed(tap), Some("U1: a name - of two parts"));
        let spec = "✔ one (3ms)\n  ✖ L2 (both): two (12.3ms)\n✖ failing tests:\n";
        assert_eq!(first_failed(spec), Some("L2 (both): two"));
        assert_eq!(first_failed("ok 1 - one\n"), None);
    }
}
