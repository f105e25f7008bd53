//! `cargo xtask bench`: `stepflow bench` at our own sizes, what came of it kept and shown.

mod guide; // the table that began it all
mod plot; // the history as a picture

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run;

const USAGE: &str = "usage: cargo xtask bench [--smoke | --full | --page | --figures] [PART…]";
/// One line of JSON for each full run, the newest last.
const HISTORY: &str = "docs/performance/history.ndjson";
const PAGE: &str = "docs/performance.md";
const PLOT: &str = "docs/performance/history.svg";
/// Between these lines of the page stands what is made from the history.
const BEGIN: &str = "<!-- made by `cargo xtask bench --page` -->";
const END: &str = "<!-- end -->";
/// Ratios hold at this, times and rates at twice this: machines of CI are slow and shared.
const SLACK: f64 = 2.0;

/// A run of `stepflow bench`: a name, and arguments.
struct Size {
    name: &'static str,
    args: &'static [&'static str],
}

/// A part of CI's tier, and how much of it: what compares badly at small sizes is larger.
const SMOKE: [(&str, &[&str]); 9] = [
    ("api", &["--quick"]),
    ("catalog", &["--quick"]),
    ("capture", &["--quick", "--megabytes", "250"]),
    ("streams", &["--quick"]),
    ("start", &["--quick"]),
    ("fanout", &["--quick"]),
    ("recovery", &["--quick"]),
    ("storage", &["--quick", "--records", "200"]),
    ("ingest", &["--quick"]),
];

/// What is further from its bar than CI's tier allows, since its bar is meant for more than that
/// measures: so many times the bar, and no further.
const FURTHER: [(&str, f64); 5] = [
    ("capture_quiet", 4.0),
    ("capture_raw", 4.0),
    ("capture_plain", 4.0),
    ("capture_durable", 4.0),
    ("search_all", 4.0),
];

/// What `docs/performance.md` shows. Each by itself, so that one that fails takes no other along.
const FULL: [Size; 8] = [
    Size { name: "usual", args: &[] },
    Size { name: "small", args: &["api", "--executions", "1000"] },
    Size { name: "million", args: &["api", "catalog", "recovery", "--executions", "1000000"] },
    Size { name: "gigabyte", args: &["capture", "storage", "--megabytes", "1000", "--runs", "5"] },
    Size {
        name: "search-10000",
        args: &["storage", "--records", "10000", "--megabytes", "100", "--runs", "3"],
    },
    // For long enough that the lines which meet the end of all scripts are less than a hundredth.
    Size {
        name: "streams-500",
        args: &["streams", "start", "recovery", "--streams", "500", "--time", "20s"],
    },
    Size {
        name: "streams-1000",
        args: &[
            "streams",
            "start",
            "fanout",
            "--streams",
            "1000",
            "--viewers",
            "1000",
            "--time",
            "20s",
        ],
    },
    Size { name: "ingest-10000", args: &["ingest", "--ingest", "10000", "--time", "20s"] },
];

/// A line of the history.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The newest commit; `+` behind it: with changes.
    commit: String,
    size: String,
    report: Value,
}

pub fn bench(root: &Path, args: &[String]) -> Result<(), String> {
    let (flags, parts): (Vec<_>, Vec<_>) = args.iter().partition(|arg| arg.starts_with('-'));
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).collect();
    match flags.as_slice() {
        [] => {
            build(root)?;
            measure(root, "usual", &parts).map(drop)
        }
        [flag] => match flag.as_str() {
            "--smoke" => {
                build(root)?;
                smoke(root)
            }
            "--full" => full(root, &parts),
            "--page" => page(root),
            "--figures" => figures(root, &parts),
            _ => Err(USAGE.to_owned()),
        },
        _ => Err(USAGE.to_owned()),
    }
}

/// `ci` is what is shipped without link-time optimization; the same build as that of tests and rigs.
fn build(root: &Path) -> Result<(), String> {
    run(root, "cargo", &["build", "--profile", "ci", "--workspace", "--bins", "--tests"])
}

/// What only the terminal shows: `benches/figures.py`.
fn figures(root: &Path, parts: &[&str]) -> Result<(), String> {
    let ours = ["build", "--release", "--package", "stepflow-monitor", "--bins", "--examples"];
    run(root, "cargo", &ours)?;
    let storages =
        ["build", "--release", "--package", "stepflow-original", "--example", "generate"];
    run(root, "cargo", &storages)?;
    run(root, "python3", &[&["benches/figures.py"], parts].concat())
}

/// Runs `stepflow bench` so and prints it; the report.
fn measure(root: &Path, name: &str, args: &[&str]) -> Result<Value, String> {
    let program = root.join("target/ci/stepflow");
    let mut command = Command::new(&program);
    // In the target directory: it is on a disk, and nobody's.
    command.arg("bench").arg("--json").arg("--dir").arg(root.join("target"));
    command.args(args).current_dir(root).stdin(Stdio::null());
    println!("--- stepflow bench {}", args.join(" "));
    let begun = Instant::now();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("stepflow bench ({name}): {}", output.status));
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("stepflow bench ({name}) says no JSON: {error}"))?;
    println!("{}", table(&report, None));
    println!("--- {:.0} s", begun.elapsed().as_secs_f64());
    Ok(report)
}

/// It completes, loses nothing, and is not far from its bars. A part that is, is measured once more,
/// for longer: what else the machine did may have been the reason.
fn smoke(root: &Path) -> Result<(), String> {
    let mut short = Vec::new();
    for (part, size) in SMOKE {
        let far = |runs| -> Result<Vec<String>, String> {
            let report = measure(root, "smoke", &[&[part], size, &["--runs", runs]].concat())?;
            Ok(rows(&report).filter_map(|figure| far_from_its_bar(&figure)).collect())
        };
        let mut found = far("3")?;
        if !found.is_empty() {
            println!("--- once more: {}", found.join("; "));
            found = far("7")?;
        }
        short.extend(found);
    }
    if short.is_empty() {
        println!("bench HELD: {} parts at the size of CI", SMOKE.len());
        return Ok(());
    }
    Err(format!("stepflow bench: {}", short.join("; ")))
}

fn full(root: &Path, parts: &[&str]) -> Result<(), String> {
    build(root)?;
    let commit = commit(root)?;
    let mut failed = Vec::new();
    for size in FULL.iter().filter(|size| parts.is_empty() || parts.contains(&size.name)) {
        match measure(root, size.name, size.args) {
            // After each: an interrupted run keeps what it has.
            Ok(report) => {
                keep(root, &Kept { commit: commit.clone(), size: size.name.to_owned(), report })?;
            }
            Err(error) => failed.push(error),
        }
    }
    page(root)?;
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn commit(root: &Path) -> Result<String, String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output();
        let output = output.map_err(|error| format!("cannot run git: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "crates"])?.is_empty();
    Ok(if changed { format!("{head}+") } else { head })
}

fn keep(root: &Path, kept: &Kept) -> Result<(), String> {
    let path = root.join(HISTORY);
    let wrong = |error: &dyn std::fmt::Display| format!("{HISTORY}: {error}");
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    text.push_str(&serde_json::to_string(kept).map_err(|error| wrong(&error))?);
    text.push('\n');
    fs::create_dir_all(root.join("docs/performance")).map_err(|error| wrong(&error))?;
    fs::write(&path, text).map_err(|error| wrong(&error))
}

/// Writes the newest run of each size into the page, and all of them into its picture.
fn page(root: &Path) -> Result<(), String> {
    let history =
        fs::read_to_string(root.join(HISTORY)).map_err(|error| format!("{HISTORY}: {error}"))?;
    let kept: Vec<Kept> = history
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{HISTORY}: {error}"))?;
    let mut made = String::new();
    for size in &FULL {
        let Some(newest) = kept.iter().rfind(|kept| kept.size == size.name) else { continue };
        let before = kept.iter().rev().filter(|kept| kept.size == size.name).nth(1);
        let machine = &newest.report["machine"];
        made.push_str(&format!(
            "### `{}`\n\nCommit {}, {} cores ({}), Linux {}, {}; load before it began {}.\n\n{}\n",
            ["stepflow bench", &size.args.join(" ")].join(" ").trim_end(),
            newest.commit,
            machine["cores"],
            machine["processor"].as_str().unwrap_or_default(),
            machine["kernel"].as_str().unwrap_or_default(),
            machine["file_system"].as_str().unwrap_or_default(),
            machine["load"],
            table(&newest.report, before.map(|before| &before.report)),
        ));
    }
    let sizes: Vec<&str> = FULL.iter().map(|size| size.name).collect();
    fs::write(root.join(PLOT), plot::history(&kept, &sizes))
        .map_err(|error| format!("{PLOT}: {error}"))?;
    let picture = "![How far each figure is from its bar](performance/history.svg)";
    let guide = guide::table(&kept);
    let made = format!(
        "### The guide's own table\n\nThe performance guide of the Python system that this project \
         re-creates, what its optimized version does on a machine like this one, and ours (newest runs \
         below).\n\n{guide}\n{picture}\n\n{made}"
    );
    let path = root.join(PAGE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let parts =
        text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{PAGE} lacks {BEGIN} or {END}"))?;
    fs::write(&path, format!("{before}{BEGIN}\n\n{made}{END}{after}"))
        .map_err(|error| format!("{PAGE}: {error}"))
}

/// A figure of a report.
struct Row {
    what: String,
    about: String,
    of: Option<u64>,
    unit: String,
    median: f64,
    spread: (f64, f64),
    limit: Option<f64>,
    ratio: Option<f64>,
    bar: Option<(String, f64)>,
    /// The bar is meant for so much and more.
    bar_from: u64,
    met: Option<bool>,
}

impl Row {
    /// Whether it is the same figure as that of another run. Earlier ones did not say of how much.
    fn is_as(&self, other: &Self) -> bool {
        self.what == other.what && (self.of.is_none() || self.of == other.of)
    }
}

fn rows(report: &Value) -> impl Iterator<Item = Row> {
    let figures = report["figures"].as_array().into_iter().flatten();
    figures.map(|figure| {
        let text = |key: &str| figure[key].as_str().unwrap_or_default().to_owned();
        // What is no number was not measured.
        let number = |key: &str| figure[key].as_f64().unwrap_or(f64::NAN);
        let bar = figure["bar"].as_object().and_then(|bar| bar.iter().next());
        Row {
            what: text("what"),
            about: text("about"),
            of: figure["of"].as_u64(),
            unit: text("unit"),
            median: number("median"),
            spread: (number("min"), number("max")),
            limit: figure["limit"].as_f64(),
            ratio: figure["ratio"].as_f64(),
            bar: bar.and_then(|(kind, value)| Some((kind.clone(), value.as_f64()?))),
            bar_from: figure["bar_from"].as_u64().unwrap_or(0),
            met: figure["met"].as_bool(),
        }
    })
}

/// What is wrong with it, if it is further from its bar than a shared machine explains.
fn far_from_its_bar(row: &Row) -> Option<String> {
    let (kind, bar) = row.bar.as_ref()?;
    let ratio = row.ratio.unwrap_or(f64::NAN);
    let further = FURTHER.iter().find(|(what, _)| *what == row.what);
    let slack = further.map_or(SLACK, |(_, slack)| *slack);
    let good = match kind.as_str() {
        "at_least" => row.median >= bar / (2.0 * slack),
        "at_most" => row.median <= bar * 2.0 * slack,
        "ratio_at_least" => ratio >= bar / slack,
        "ratio_at_most" => ratio <= bar * slack,
        _ => false,
    };
    let of = row.of.map(|of| format!(" ({of})")).unwrap_or_default();
    let said = || {
        let ratio = row.ratio.map(|ratio| format!(", {ratio:.2} x")).unwrap_or_default();
        format!("{}{of}: {}{ratio}, bar {kind} {bar}", row.what, number(row.median))
    };
    (!good).then(said)
}

fn table(report: &Value, before: Option<&Value>) -> String {
    let mut made = "| figure | median | lowest – highest | without us | ratio | bar | |\n|---|---|---|---|---|---|---|\n".to_owned();
    for row in rows(report) {
        let unit = match row.unit.as_str() {
            "per_second" => "/s",
            "ms" => " ms",
            "seconds" => " s",
            "mb_per_second" => " MB/s",
            "mb" => " MB",
            "bytes" => " B",
            "percent" => " %",
            "times" => " x",
            _ => "",
        };
        let with = |value: f64| format!("{}{unit}", number(value));
        let of = row.of.map(|of| format!(" ({of})")).unwrap_or_default();
        let bar = row.bar.as_ref().map(|(kind, bar)| {
            let sign = if kind.ends_with("least") { "≥" } else { "≤" };
            let of_limit = if kind.starts_with("ratio") { " x" } else { "" };
            format!("{sign} {bar}{of_limit}")
        });
        let earlier = before.and_then(|before| rows(before).find(|old| old.is_as(&row)));
        let earlier =
            earlier.map(|old| format!(", before {}", with(old.median))).unwrap_or_default();
        made.push_str(&format!(
            "| {}{of} | {}{earlier} | {} – {} | {} | {} | {} | {} |\n",
            row.about.trim_end_matches('.'),
            with(row.median),
            number(row.spread.0),
            number(row.spread.1),
            row.limit.map(with).unwrap_or_default(),
            row.ratio.map(|ratio| format!("{ratio:.2} x")).unwrap_or_default(),
            bar.unwrap_or_default(),
            match row.met {
                Some(true) => "met".to_owned(),
                Some(false) => "**short**".to_owned(),
                None if row.bar_from > 0 => format!("bar for {}", row.bar_from),
                None => String::new(),
            },
        ));
    }
    made
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figure(kind: &str, bar: f64, median: f64, ratio: Option<f64>) -> Value {
        json!({"figures": [{"what": "x", "about": "X.", "unit": "ms", "median": median, "min": 1.0,
            "max": 2.0, "ratio": ratio, "bar": {kind: bar}, "met": false}]})
    }

    #[test]
    fn the_smoke_tier_takes_twice_the_bar_for_ratios_and_four_times_for_the_rest() {
        let cases = [
            ("ratio_at_least", 0.8, 1.0, Some(0.41), true),
            ("ratio_at_least", 0.8, 1.0, Some(0.39), false),
            ("ratio_at_least", 0.8, 1.0, None, false),
            ("ratio_at_most", 1.5, 1.0, Some(2.9), true),
            ("ratio_at_most", 1.5, 1.0, Some(3.1), false),
            ("at_least", 100.0, 26.0, None, true),
            ("at_least", 100.0, 24.0, None, false),
            ("at_most", 5.0, 19.0, None, true),
            ("at_most", 5.0, 21.0, None, false),
            // Nothing may be lost, however busy the machine is.
            ("at_most", 0.0, 0.0, None, true),
            ("at_most", 0.0, 1.0, None, false),
            ("at_most", 5.0, f64::NAN, None, false),
        ];
        for (kind, bar, median, ratio, good) in cases {
            let report = figure(kind, bar, median, ratio);
            let far = far_from_its_bar(&rows(&report).next().unwrap());
            assert_eq!(far.is_none(), good, "{kind} {bar} {median} {ratio:?}: {far:?}");
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_figure() {
        let made =
            table(&figure("at_most", 5.0, 6.5, None), Some(&figure("at_most", 5.0, 7.0, None)));
        let row = made.lines().nth(2).unwrap();
        assert_eq!(row, "| X | 6.50 ms, before 7.00 ms | 1.00 – 2.00 |  |  | ≤ 5 | **short** |");
    }
}
