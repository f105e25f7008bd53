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
//! `rig` is a rig and its arguments, `breaks` the numbers, `seen` a part of what it must say; where it
//! is a race which of two things is found first, both, with ` | ` between them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::rigs::{
    registry::{self, Rig},
    report::{self, Report, line},
    run::{Outcome, Place, Run},
    told,
};

/// Where they are.
pub const DIR: &str = "tests/rigs/mutants";
/// Rigs that measure the program: what is not optimized takes more memory without being broken.
const MEASURED: [&str; 1] = ["mem"];
/// So much of what a rig says is kept.
const SAID_CHARS: usize = 400;
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

impl Mutant {
    /// Whether `run`, which was kept, shows that the rig failed as this patch says today: of one
    /// that was changed since, nothing is known.
    pub fn was_found_by(&self, run: &Run) -> bool {
        run.name == self.name
            && run.outcome == Outcome::Held
            && run.args == self.args
            && run.figures.starts_with(&format!("{} said: ", self.rig))
            && self.is_said_in(&run.figures)
    }

    /// Whether what must be said is said there.
    fn is_said_in(&self, text: &str) -> bool {
        self.seen.split(" | ").any(|part| text.contains(part))
    }

    fn run(&self, outcome: Outcome, figures: String) -> Run {
        Run {
            name: self.name.clone(),
            outcome,
            figures,
            seconds: 0.0,
            seed: super::SEED,
            count: 0,
            args: self.args.clone(),
            seen: String::new(),
        }
    }
}

/// Runs those of these rigs (or names), in a copy of what is committed.
pub fn run(root: &Path, names: &[String]) -> Result<(), String> {
    let rigs = registry::rigs(root)?;
    let all = mutants(root)?;
    let known = |name: &String| all.iter().any(|one| one.rig == *name || one.name == *name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("no mutant of {name}"));
    }
    let wanted = |mutant: &Mutant| {
        names.is_empty() || names.contains(&mutant.rig) || names.contains(&mutant.name)
    };
    let mut chosen: Vec<Mutant> = all.into_iter().filter(wanted).collect();
    // By the file that each breaks: those of one crate come together, and less is built anew.
    chosen.sort_by(|a, b| a.line.cmp(&b.line));
    let copy = root.join("target/mutants/copy");
    let out = root.join("target/mutants/target");
    checked_out(root, &copy)?;
    let seen = format!("{} of {}", line(root, "date", &["-u", "+%Y-%m-%d"]), report::commit(&copy));
    let mut runs = Vec::new();
    for mutant in &chosen {
        let rig = rigs.iter().find(|rig| rig.name == mutant.rig);
        let rig = rig.ok_or(format!("{}: there is no rig {}", mutant.name, mutant.rig))?;
        println!("--- {}: {}", mutant.name, mutant.line);
        let run = Run { seen: seen.clone(), ..one(&copy, &out, rig, mutant)? };
        told(&Place::new(&copy), &rig.name, &run);
        runs.push(run);
        // After each: an interrupted run keeps what it has.
        Report::new(root, "mutants", runs.clone()).write(&root.join(RESULT))?;
    }
    let report = Report::new(root, "mutants", runs);
    println!("\n{}{}", report.table(), report.counted());
    if report.counts().1 > 0 { Err("a mutant was not found".to_owned()) } else { Ok(()) }
}

/// A work tree of the commit that is checked out here. One that is there already is kept, so that
/// only what has changed is built anew.
fn checked_out(root: &Path, copy: &Path) -> Result<(), String> {
    let head = line(root, "git", &["rev-parse", "HEAD"]);
    let git = |dir: &Path, args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(dir).output();
        output.is_ok_and(|output| output.status.success())
    };
    if copy.join(".git").exists()
        && git(copy, &["reset", "--quiet", "--hard"])
        && git(copy, &["checkout", "--quiet", "--detach", &head])
    {
        return Ok(());
    }
    git(root, &["worktree", "remove", "--force", &copy.display().to_string()]);
    let _ = fs::remove_dir_all(copy);
    git(root, &["worktree", "prune"]); // One whose directory was removed by hand.
    let copy = copy.display().to_string();
    crate::run(root, "git", &["worktree", "add", "--detach", "--quiet", &copy, &head])
}

/// Held: the rig failed, with the words that it must say.
fn one(copy: &Path, out: &Path, rig: &Rig, mutant: &Mutant) -> Result<Run, String> {
    let patch = |more: &[&str]| {
        let output = Command::new("git")
            .arg("apply")
            .args(more)
            .arg(&mutant.path)
            .current_dir(copy)
            .output()
            .map_err(|error| format!("git apply: {error}"))?;
        if output.status.success() {
            return Ok(None);
        }
        Ok::<_, String>(Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    };
    if let Some(why) = patch(&[])? {
        let why = format!("it does not fit the source any more: {why}");
        return Ok(mutant.run(Outcome::NotBuilt, why));
    }
    let run = if let Err(error) = built(copy, out, rig) {
        Ok(mutant.run(Outcome::NotBuilt, error))
    } else {
        let mut place = Place::new(copy);
        place.programs = out.join("ci");
        place.tasks = Some(out.join("ci/xtask"));
        place.run(rig, &mutant.args, super::SEED).map(|mut run| {
            // Files are named from the root of the project, wherever it stands.
            run.figures = run.figures.replace(&format!("{}/", copy.display()), "");
            judged(mutant, run)
        })
    };
    if let Some(why) = patch(&["--reverse"])? {
        return Err(format!("{} cannot be taken back: {why}", mutant.name));
    }
    run
}

/// A rig of which no word was heard that it must say has failed for another reason, or not at all.
fn judged(mutant: &Mutant, run: Run) -> Run {
    let outcome = match run.outcome {
        Outcome::Broken if mutant.is_said_in(&run.figures) => Outcome::Held,
        Outcome::Broken | Outcome::Held => Outcome::Broken,
        other => other,
    };
    Run {
        seconds: run.seconds,
        count: run.count,
        ..mutant.run(outcome, format!("{} said: {}", mutant.rig, short(&run.figures, &mutant.seen)))
    }
}

/// Not more than a few lines of what a rig said, from before the words that were looked for.
fn short(text: &str, seen: &str) -> String {
    let at = seen.split(" | ").find_map(|part| text.find(part)).unwrap_or(0);
    let skipped = text[..at].chars().count().saturating_sub(SAID_CHARS / 2);
    let mut part: String = text.chars().skip(skipped).take(SAID_CHARS).collect();
    if skipped > 0 {
        part.insert(0, '…');
    }
    if skipped + SAID_CHARS < text.chars().count() {
        part.push('…');
    }
    part
}

/// Our own crates, which the patches change.
fn crates(copy: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(copy.join("crates")).map_err(|error| format!("crates: {error}"))?;
    let mut names = vec!["stepflow-rigs".to_owned()];
    for entry in entries.flatten() {
        let text = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("name = "));
        names.extend(name.map(|name| name.trim_matches('"').to_owned()));
    }
    Ok(names)
}

/// `Err`: the first error of the compiler. Our own crates are built often and run once: they are not
/// optimized, unless the rig measures them. What comes from elsewhere is as it always is.
fn built(copy: &Path, out: &Path, rig: &Rig) -> Result<(), String> {
    let plain = if MEASURED.contains(&rig.name.as_str()) { Vec::new() } else { crates(copy)? };
    let plain = plain.into_iter();
    let plain = plain
        .flat_map(|name| ["--config".to_owned(), format!("profile.ci.package.{name}.opt-level=0")]);
    let output = Command::new("cargo")
        .args(plain)
        .args(["build", "--quiet", "--profile", "ci"])
        .args(["--package", "stepflow-monitor", "--package", "stepflow-rigs", "--package", "xtask"])
        .env("CARGO_TARGET_DIR", out)
        // A line is another between two builds: without this each builds whole crates.
        .env("CARGO_INCREMENTAL", "1")
        .stdin(Stdio::null())
        .current_dir(copy)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    let error = text.lines().find(|line| line.starts_with("error"));
    Err(format!("it does not compile: {}", error.unwrap_or("cargo does not say why")))
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
            let ours = ["crates/", "packaging/", "web/src/"];
            let ours = ours.iter().any(|part| mutant.line.starts_with(part));
            assert!(ours, "{} breaks {}", mutant.name, mutant.line);
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
    fn every_rig_has_a_line_that_turns_it_red() {
        let all = mutants(&crate::root()).unwrap();
        for rig in registry::rigs(&crate::root()).unwrap() {
            assert!(all.iter().any(|mutant| mutant.rig == rig.name), "{} has none", rig.name);
        }
    }

    #[test]
    fn only_a_failure_in_the_words_of_the_patch_is_the_mutant_found() {
        let text = "# rig: kill --kills 9\n# breaks: G1\n# seen: bytes are gone\n+++ b/crates/a.rs\n-    a();\n";
        let mutant = parse(Path::new("x/one.patch"), text).unwrap();
        let run = |outcome, figures: &str| judged(&mutant, mutant.run(outcome, figures.to_owned()));
        let found = run(Outcome::Broken, "round 2: 3 bytes are gone (exit status: 1)");
        assert_eq!(found.outcome, Outcome::Held);
        assert!(mutant.was_found_by(&found));
        for (outcome, said, then) in [
            (Outcome::Broken, "the server does not start", Outcome::Broken),
            (Outcome::Held, "0 bytes are gone", Outcome::Broken),
            (Outcome::NotRun, "no root", Outcome::NotRun),
            (Outcome::NotBuilt, "it does not compile: error", Outcome::NotBuilt),
        ] {
            let run = run(outcome, said);
            assert_eq!(run.outcome, then, "{said}");
            assert!(!mutant.was_found_by(&run), "{said}");
        }
        let far = format!("{}3 bytes are gone{}", "x".repeat(9_000), "y".repeat(9_000));
        let found = run(Outcome::Broken, &far);
        assert!(mutant.was_found_by(&found) && found.figures.len() < 500, "{}", found.figures);
        let either = parse(Path::new("x/one.patch"), &text.replace("bytes are", "bytes | byte is"));
        assert!(either.unwrap().is_said_in("1 byte is gone"));
        // Of a patch that asks for something else since, nothing is known.
        let other = parse(Path::new("x/one.patch"), &text.replace("--kills 9", "--kills 8"));
        assert!(!other.unwrap().was_found_by(&found));
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
