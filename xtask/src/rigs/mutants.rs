//! `cargo xtask rigs --mutants`: a rig that cannot fail proves nothing. Each patch of
//! `tests/rigs/mutants` breaks a line of the program in a copy; the rig it names must then fail.
//!
//! A patch begins with lines of its own:
//!
//! ```text
//! # rig: kill --kills 40
//! # breaks: G1
//! # seen: 3 bytes were seen, 0 are recorded
//! ```
//! `rig` is a rig and its arguments, `breaks` the numbers, `seen` a part of what it must say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::rigs::{
    registry::{self, Rig},
    report::{Report, line},
    run::{Outcome, Place, Run},
    told,
};

/// Where they are.
pub const DIR: &str = "tests/rigs/mutants";
/// Where the result of a run is, below the workspace.
pub const RESULT: &str = "target/mutants.json";

/// One broken line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The file's name without its ending.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The rig that must fail.
    pub rig: String,
    /// With these arguments.
    pub args: Vec<String>,
    /// The numbers that it stands for.
    pub breaks: Vec<String>,
    /// A part of what the rig says.
    pub seen: String,
    /// `crates/…: the line that goes`.
    pub line: String,
}

/// All of them, by name.
pub fn mutants(root: &Path) -> Result<Vec<Mutant>, String> {
    let entries = fs::read_dir(root.join(DIR)).map_err(|error| format!("{DIR}: {error}"))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "patch") {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            found.push(parse(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn parse(path: &Path, text: &str) -> Result<Mutant, String> {
    let said = |name: &str| {
        let start = format!("# {name}: ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|line| line.trim().to_owned()).ok_or(format!("it has no line `{start}…`"))
    };
    let file = text.lines().find_map(|line| line.strip_prefix("+++ b/"));
    let gone = text.lines().find(|line| line.starts_with('-') && !line.starts_with("---"));
    let come = text.lines().find(|line| line.starts_with('+') && !line.starts_with("+++"));
    let line = gone.or(come).map(|line| line[1..].trim()).unwrap_or_default();
    let rig = said("rig")?;
    let mut words = rig.split_whitespace().map(str::to_owned);
    Ok(Mutant {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_owned(),
        rig: words.next().ok_or("it names no rig")?,
        args: words.collect(),
        breaks: said("breaks")?.split_whitespace().map(str::to_owned).collect(),
        seen: said("seen")?,
        line: format!("{}: {line}", file.ok_or("it changes no file")?.trim()),
    })
}

/// Runs those of these rigs (or names), in a copy of what is committed.
pub fn run(root: &Path, names: &[String]) -> Result<(), String> {
    let rigs = registry::rigs(root)?;
    let wanted = |mutant: &Mutant| {
        names.is_empty() || names.contains(&mutant.rig) || names.contains(&mutant.name)
    };
    let chosen: Vec<Mutant> = mutants(root)?.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no mutant of {}", names.join(", ")));
    }
    let copy = root.join("target/mutants/copy");
    let out = root.join("target/mutants/target");
    checked_out(root, &copy)?;
    let mut runs = Vec::new();
    for mutant in &chosen {
        let rig = rigs.iter().find(|rig| rig.name == mutant.rig);
        let rig = rig.ok_or(format!("{}: there is no rig {}", mutant.name, mutant.rig))?;
        println!("--- {}: {}", mutant.name, mutant.line);
        let run = one(&copy, &out, rig, mutant)?;
        runs.push(run);
    }
    removed(root, &copy);
    let report = Report::new(root, "mutants", runs);
    println!("\n{}{}", report.table(), report.counted());
    report.write(&root.join(RESULT))?;
    if report.counts().1 > 0 { Err("a mutant was not found".to_owned()) } else { Ok(()) }
}

/// A work tree of the commit that is checked out here.
fn checked_out(root: &Path, copy: &Path) -> Result<(), String> {
    removed(root, copy);
    let head = line(root, "git", &["rev-parse", "HEAD"]);
    let copy = copy.display().to_string();
    crate::run(root, "git", &["worktree", "add", "--detach", "--quiet", &copy, &head])
}

/// Removes the work tree, if it is there.
fn removed(root: &Path, copy: &Path) {
    let _ = Command::new("git")
        .args(["worktree", "remove", "--force"])
        .arg(copy)
        .current_dir(root)
        .output();
    let _ = fs::remove_dir_all(copy);
}

/// Held: the rig failed, with the words that it must say.
fn one(copy: &Path, out: &Path, rig: &Rig, mutant: &Mutant) -> Result<Run, String> {
    let patch = |more: &[&str]| {
        let status = Command::new("git")
            .arg("apply")
            .args(more)
            .arg(&mutant.path)
            .current_dir(copy)
            .status()
            .map_err(|error| format!("git apply: {error}"))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{} does not fit the source any more", mutant.path.display()))
    };
    patch(&[])?;
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--profile", "ci"])
        .args(["--package", "stepflow-monitor", "--package", "stepflow-rigs", "--package", "xtask"])
        .env("CARGO_TARGET_DIR", out)
        .current_dir(copy)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    let mut run = if built.success() {
        let mut place = Place::new(copy);
        place.programs = out.join("ci");
        place.tasks = Some(out.join("ci/xtask"));
        place.run(rig, &mutant.args, super::SEED)
    } else {
        Err("it does not compile".to_owned())
    };
    patch(&["--reverse"])?;
    if let Ok(run) = &mut run {
        run.name.clone_from(&mutant.name);
        let found = run.outcome == Outcome::Broken && run.figures.contains(&mutant.seen);
        run.figures = format!("{} said: {}", mutant.rig, run.figures);
        run.outcome = match run.outcome {
            Outcome::NotRun => Outcome::NotRun,
            _ if found => Outcome::Held,
            _ => Outcome::Broken,
        };
        let place = Place::new(copy);
        told(&place, run);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_says_what_it_is_and_fits_the_source() {
        let root = crate::root();
        let rigs = registry::rigs(&root).unwrap();
        let all = mutants(&root).unwrap();
        assert!(!all.is_empty());
        for mutant in all {
            assert!(rigs.iter().any(|rig| rig.name == mutant.rig), "{}: no such rig", mutant.name);
            assert!(mutant.line.starts_with("crates/"), "{} breaks {}", mutant.name, mutant.line);
            let fits = Command::new("git")
                .args(["apply", "--check"])
                .arg(&mutant.path)
                .current_dir(&root)
                .output()
                .unwrap();
            let why = String::from_utf8_lossy(&fits.stderr);
            assert!(fits.status.success(), "{}: {why}", mutant.name);
        }
    }

    #[test]
    fn a_patch_without_its_lines_is_refused() {
        let text = "# rig: kill --kills 9\n# breaks: G1 F2\n# seen: gone\n--- a/crates/a.rs\n+++ b/crates/a.rs\n@@ -1 +1 @@\n-    a();\n+    b();\n";
        let mutant = parse(Path::new("x/one.patch"), text).unwrap();
        assert_eq!((mutant.name.as_str(), mutant.rig.as_str()), ("one", "kill"));
        assert_eq!(mutant.args, ["--kills", "9"]);
        assert_eq!(mutant.breaks, ["G1", "F2"]);
        assert_eq!(mutant.line, "crates/a.rs: a();");
        for without in ["# rig: kill --kills 9\n", "# breaks: G1 F2\n", "# seen: gone\n"] {
            assert!(parse(Path::new("x.patch"), &text.replace(without, "")).is_err(), "{without}");
        }
    }
}
