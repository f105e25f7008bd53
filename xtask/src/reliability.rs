//! `docs/reliability.md`: every guarantee with its proof, its last figures, what breaks it and what
//! is not proven, made from `tests/rigs/guarantees.toml`, the mutants and `docs/reliability/*.json`.

use std::{fmt::Write, fs, path::Path};

use serde::Deserialize;

use crate::rigs::{
    self,
    mutants::{self, Mutant},
    registry,
    report::Report,
    run::{Outcome, Run},
};

/// The table.
pub const FILE: &str = "tests/rigs/guarantees.toml";
const PAGE: &str = "docs/reliability.md";
const BEGIN: &str =
    "<!-- made by `cargo xtask reliability`; change tests/rigs/guarantees.toml -->\n";
const END: &str = "<!-- end of what is made -->\n";
/// The last run of CI whose figures are kept.
const CI: &str = "docs/reliability/ci.json";
/// The mutants that were found by their rigs.
const MUTANTS: &str = "docs/reliability/mutants.json";
const USAGE: &str = "usage: cargo xtask reliability [--keep | --check]";

/// One number of the contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
    /// `G1`, `F1`, `S1`.
    pub id: String,
    /// In a few words.
    pub title: String,
    /// In one line.
    pub promise: String,
    /// Names of tests; `page: …` is the beginning of the name of one of `web/e2e`.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Names of rigs.
    #[serde(default)]
    pub rigs: Vec<String>,
    /// `file: the line that went -> what said so`, of mutants that are no patch.
    #[serde(default)]
    pub mutants: Vec<String>,
    /// What is not proven, or less than the contract asks; empty: nothing.
    #[serde(default)]
    pub unproven: String,
    /// Needs what does not exist yet: several hosts, object storage.
    #[serde(default)]
    pub later: String,
}

#[derive(Deserialize)]
struct File {
    guarantee: Vec<Guarantee>,
}

/// The table.
pub fn table(root: &Path) -> Result<Vec<Guarantee>, String> {
    let text = fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(file.guarantee)
}

/// Writes the page. `--keep`: the figures of the last `cargo xtask rigs` are kept with it. `--check`:
/// only tells whether the page is what it should be.
pub fn reliability(root: &Path, args: &[String]) -> Result<(), String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let check = match words[..] {
        [] => false,
        ["--keep"] => {
            keep(root)?;
            false
        }
        ["--check"] => true,
        _ => return Err(USAGE.to_owned()),
    };
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or(format!("{PAGE} has lost the place of what is made"))?;
    let made = format!("{before}{BEGIN}{}{END}{after}", figures(root)?);
    if made == page {
        return Ok(());
    }
    if check {
        return Err(format!("{PAGE} is not what it should be: run `cargo xtask reliability`"));
    }
    println!("--- {PAGE}");
    fs::write(&path, made).map_err(|error| format!("{PAGE}: {error}"))
}

/// Takes the runs of `target/rigs.json` and `target/mutants.json`, each in place of older ones.
fn keep(root: &Path) -> Result<(), String> {
    fs::create_dir_all(root.join("docs/reliability")).map_err(|error| error.to_string())?;
    if let Ok(mut new) = Report::read(&root.join(mutants::RESULT)) {
        let old = Report::read(&root.join(MUTANTS)).map(|old| old.runs).unwrap_or_default();
        let kept: Vec<Run> =
            old.into_iter().filter(|run| new.runs.iter().all(|new| new.name != run.name)).collect();
        new.runs.extend(kept);
        new.write(&root.join(MUTANTS))?;
    }
    if !root.join(rigs::RESULT).is_file() {
        return Ok(());
    }
    let mut new = Report::read(&root.join(rigs::RESULT))?;
    if let Ok(old) = Report::read(&root.join(CI)) {
        let other = |run: &Run| new.runs.iter().all(|new| new.name != run.name);
        if old.commit != new.commit && old.runs.iter().any(other) {
            let names: Vec<&str> =
                old.runs.iter().filter(|run| other(run)).map(|run| run.name.as_str()).collect();
            return Err(format!(
                "{CI} is of {}, {} of {}: run all rigs, {} are missing",
                old.commit,
                rigs::RESULT,
                new.commit,
                names.join(", ")
            ));
        }
        let rest: Vec<Run> = old.runs.iter().filter(|run| other(run)).cloned().collect();
        new.runs.extend(rest);
    }
    new.write(&root.join(CI))
}

/// All soaks, the newest first.
fn soaks(root: &Path) -> Vec<(String, Report)> {
    let Ok(entries) = fs::read_dir(root.join("docs/reliability")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let json = Path::new(name).extension().is_some_and(|end| end == "json");
            name.starts_with("soak-") && json
        })
        .collect();
    names.sort_by(|a, b| b.cmp(a));
    let report = |name: String| {
        let report = Report::read(&root.join("docs/reliability").join(&name)).ok()?;
        Some((name, report))
    };
    names.into_iter().filter_map(report).collect()
}

fn figures(root: &Path) -> Result<String, String> {
    let (table, mutants) = (table(root)?, mutants::mutants(root)?);
    let ci = Report::read(&root.join(CI)).ok();
    let seen = Report::read(&root.join(MUTANTS)).map(|report| report.runs).unwrap_or_default();
    let soaks = soaks(root);
    let mut text = String::from("\n## Figures\n\n");
    match &ci {
        None => text.push_str(
            "No run of CI is kept yet (`cargo xtask rigs`, `cargo xtask reliability --keep`).\n",
        ),
        Some(report) => {
            let _ =
                writeln!(text, "CI: {}, commit {}, {}.\n", report.date, report.commit, report.host);
            text.push_str("| rig | | figures | seconds | seed |\n|---|---|---|---|---|\n");
            for rig in registry::rigs(root)? {
                let Some(run) = report.runs.iter().find(|run| run.name == rig.name) else {
                    let _ = writeln!(text, "| `{}` | not kept | | | |", rig.name);
                    continue;
                };
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} | {:.0} | {} |",
                    run.name,
                    run.outcome.word(),
                    run.figures.replace('|', "\\|"),
                    run.seconds,
                    run.seed
                );
            }
        }
    }
    if soaks.is_empty() {
        text.push_str("\nNo soak is kept yet (`cargo xtask soak`).\n");
    }
    for (at, (name, report)) in soaks.iter().enumerate() {
        // Below, each rig is told of by the newest soak that it was part of.
        let which = if at == 0 { "Soak" } else { "Earlier soak" };
        let _ = writeln!(
            text,
            "\n{which}: {}, commit {}, {}; [{name}](reliability/{name}) has every batch. {}.",
            report.date, report.commit, report.host, report.scaled
        );
    }
    let proven = table.iter().filter(|entry| entry.later.is_empty()).count();
    let gaps = table.iter().filter(|entry| !entry.unproven.is_empty()).count();
    let _ = writeln!(
        text,
        "\n## Every guarantee\n\n{} numbers; {} of them need parts that do not exist yet. Of the other \
         {proven}, {gaps} say below what is not proven. `cargo xtask prove NUMBER` runs everything that \
         stands for one.",
        table.len(),
        table.len() - proven
    );
    for entry in &table {
        one(&mut text, entry, &mutants, &seen, ci.as_ref(), &soaks);
    }
    text.push('\n');
    Ok(text)
}

fn one(
    text: &mut String,
    entry: &Guarantee,
    mutants: &[Mutant],
    seen: &[Run],
    ci: Option<&Report>,
    soaks: &[(String, Report)],
) {
    let _ = writeln!(text, "\n**{} {}.** {}\n", entry.id, entry.title, entry.promise);
    if !entry.later.is_empty() {
        let _ = writeln!(text, "- Not built yet: {}.", entry.later);
        return;
    }
    let mut proofs = Vec::new();
    if !entry.rigs.is_empty() {
        let rigs: Vec<String> = entry.rigs.iter().map(|rig| format!("`{rig}`")).collect();
        proofs.push(format!("rigs {}", rigs.join(", ")));
    }
    if !entry.tests.is_empty() {
        let tests: Vec<String> = entry.tests.iter().map(|test| format!("`{test}`")).collect();
        proofs.push(format!("tests {}", tests.join(", ")));
    }
    if proofs.is_empty() {
        text.push_str("- Proof: none.\n");
    } else {
        let _ = writeln!(text, "- Proof: `cargo xtask prove {}`: {}.", entry.id, proofs.join("; "));
    }
    if !entry.rigs.is_empty() {
        let last: Vec<String> = entry.rigs.iter().map(|rig| last(rig, ci, soaks)).collect();
        let _ = writeln!(text, "- Last: {}.", last.join("; "));
    }
    let of_entry = |mutant: &&Mutant| mutant.breaks.contains(&entry.id);
    let (mut broken, mut open) = (Vec::new(), Vec::new());
    for mutant in mutants.iter().filter(of_entry) {
        match seen.iter().find(|run| mutant.was_found_by(run)) {
            None => open.push(mutant),
            Some(run) => broken.push(format!(
                "`{}` -> {} said \"{}\" (`{}.patch`, {})",
                mutant.line, mutant.rig, mutant.seen, mutant.name, run.seen
            )),
        }
    }
    broken.extend(entry.mutants.iter().cloned());
    if !broken.is_empty() {
        let _ = writeln!(text, "- Seen failing: {}.", broken.join("; "));
    }
    if !open.is_empty() {
        let names: Vec<String> = open.iter().map(|one| format!("`{}.patch`", one.name)).collect();
        let _ = writeln!(text, "- Not yet seen failing: {}.", names.join(", "));
    }
    if !entry.unproven.is_empty() {
        let _ = writeln!(text, "- Not proven: {}.", entry.unproven.trim_end_matches('.'));
    }
}

/// How much of a rig, in CI and in the last soak that it was part of.
fn last(name: &str, ci: Option<&Report>, soaks: &[(String, Report)]) -> String {
    let soak = soaks.iter().map(|(_, report)| report);
    let soak = soak.into_iter().find(|report| report.runs.iter().any(|run| run.name == name));
    let part = |report: Option<&Report>| -> Option<(u64, Outcome)> {
        let runs: Vec<&Run> = report?.runs.iter().filter(|run| run.name == name).collect();
        let broken = runs.iter().find(|run| run.outcome != Outcome::Held);
        let held = runs.iter().filter(|run| run.outcome == Outcome::Held);
        let count = held.map(|run| run.count).sum();
        runs.first().map(|_| (count, broken.map_or(Outcome::Held, |run| run.outcome)))
    };
    let said = |part: Option<(u64, Outcome)>| match part {
        None => "-".to_owned(),
        Some((count, outcome)) => format!("{} {count}", outcome.word()),
    };
    format!("`{name}` CI {}, soak {}", said(part(ci)), said(part(soak)))
}

/// `cargo xtask prove NUMBER…`: all tests and rigs of these numbers.
pub fn prove(root: &Path, args: &[String]) -> Result<(), String> {
    let table = table(root)?;
    if args.is_empty() {
        return Err("usage: cargo xtask prove NUMBER…, such as G1 or F7".to_owned());
    }
    let (mut tests, mut pages, mut rigs) = (Vec::new(), Vec::new(), Vec::new());
    for id in args {
        let entry = table.iter().find(|entry| entry.id.eq_ignore_ascii_case(id));
        let entry = entry.ok_or(format!("there is no {id} in {FILE}"))?;
        println!("{} {}. {}", entry.id, entry.title, entry.promise);
        if !entry.unproven.is_empty() {
            println!("  not proven: {}", entry.unproven);
        }
        for test in &entry.tests {
            match test.strip_prefix("page: ") {
                None => tests.push(test.clone()),
                Some(name) => pages.push(name.to_owned()),
            }
        }
        rigs.extend(entry.rigs.iter().cloned());
    }
    if tests.is_empty() && pages.is_empty() && rigs.is_empty() {
        return Err("nothing stands for it".to_owned());
    }
    if !tests.is_empty() {
        crate::need::tools()?;
        let mut words = vec!["nextest", "run", "--workspace", "--cargo-profile", "ci"];
        words.extend(tests.iter().map(String::as_str));
        crate::run(root, "cargo", &words)?;
    }
    if !pages.is_empty() {
        let web = root.join("web");
        crate::need::page(&web)?;
        let build = ["build", "--profile", "ci", "--package", "stepflow-monitor"];
        crate::run(root, "cargo", &build)?;
        for name in &pages {
            let pattern = regex_text(name);
            let words = ["--test", "--test-concurrency=1", "--test-name-pattern", &pattern, "e2e/"];
            crate::run(&web, "node", &words)?;
        }
    }
    if rigs.is_empty() { Ok(()) } else { rigs::rigs(root, &rigs) }
}

/// A name as a pattern that matches only itself.
fn regex_text(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['.'] }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Everything below a directory that ends so, in one text.
    fn sources(dir: &Path, end: &str, text: &mut String) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != "node_modules" {
                sources(&path, end, text);
            } else if name.to_string_lossy().ends_with(end) {
                text.push_str(&fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }

    #[test]
    fn every_number_has_its_entry_and_everything_named_exists() {
        let root = crate::root();
        let table = table(&root).unwrap();
        let ids: Vec<&str> = table.iter().map(|entry| entry.id.as_str()).collect();
        let wanted = (1..=38)
            .map(|n| format!("G{n}"))
            .chain((1..=22).map(|n| format!("F{n}")))
            .chain((1..=18).map(|n| format!("S{n}")));
        assert_eq!(ids, wanted.collect::<Vec<_>>(), "each once, in order");
        let mut rust = String::new();
        for dir in ["crates", "tests", "xtask"] {
            sources(&root.join(dir), ".rs", &mut rust);
        }
        let mut page = String::new();
        sources(&root.join("web/e2e"), ".test.mjs", &mut page);
        let rigs = registry::rigs(&root).unwrap();
        let known: BTreeSet<&str> = rigs.iter().map(|rig| rig.name.as_str()).collect();
        for entry in &table {
            for test in &entry.tests {
                let there = match test.strip_prefix("page: ") {
                    Some(name) => page.contains(&format!("('{name}")),
                    None => rust.contains(&format!("fn {test}(")),
                };
                assert!(there, "{}: there is no test {test:?}", entry.id);
            }
            for rig in &entry.rigs {
                assert!(known.contains(rig.as_str()), "{}: there is no rig {rig:?}", entry.id);
            }
            let proven = !entry.tests.is_empty() || !entry.rigs.is_empty();
            let said = !entry.unproven.is_empty() || !entry.later.is_empty();
            assert!(proven || said, "{}: neither a proof nor a word about it", entry.id);
            assert!(!proven || entry.later.is_empty(), "{}: proven, and not built", entry.id);
            for mutant in &entry.mutants {
                let file = mutant.trim_start_matches('`').split(':').next().unwrap_or_default();
                assert!(root.join(file).is_file(), "{}: {mutant:?} is of no file", entry.id);
                assert!(mutant.contains(" -> "), "{}: {mutant:?} says nothing", entry.id);
            }
        }
        // Both ways: what a rig says that it proves names the rig.
        for rig in &rigs {
            for id in &rig.proves {
                let entry = table.iter().find(|entry| entry.id == *id).expect(id);
                assert!(entry.rigs.contains(&rig.name), "{} does not name {}", entry.id, rig.name);
            }
        }
        for entry in &table {
            for name in &entry.rigs {
                let rig = rigs.iter().find(|rig| rig.name == *name).unwrap();
                assert!(rig.proves.contains(&entry.id), "{name} does not name {}", entry.id);
            }
        }
        for mutant in mutants::mutants(&root).unwrap() {
            for id in &mutant.breaks {
                assert!(ids.contains(&id.as_str()), "{}: there is no {id}", mutant.name);
            }
        }
    }

    #[test]
    fn the_page_is_what_the_table_says() {
        assert_eq!(reliability(&crate::root(), &["--check".to_owned()]), Ok(()));
    }
}
