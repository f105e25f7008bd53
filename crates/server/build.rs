//! Builds the page in `web/` when it is missing or older than its sources, so that it can be embedded.
//!
//! `STEPFLOW_SKIP_UI=1` leaves it as it is; `STEPFLOW_REQUIRE_UI=1` makes a missing page an error.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::SystemTime,
};

/// What the page is built from, below `web/`.
const SOURCES: &[&str] = &[
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

fn main() -> ExitCode {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web");
    for name in SOURCES.iter().chain(&["dist"]) {
        println!("cargo::rerun-if-changed={}", web.join(name).display());
    }
    println!("cargo::rerun-if-env-changed=STEPFLOW_SKIP_UI");
    println!("cargo::rerun-if-env-changed=STEPFLOW_REQUIRE_UI");
    let set = |name: &str| env::var_os(name).is_some_and(|value| value == "1");

    let built = newest(&web.join("dist/index.html"));
    let sources = SOURCES.iter().filter_map(|name| newest(&web.join(name))).max();
    let wanted = web.join("package.json").exists() && (built.is_none() || built < sources);
    let made = || build(&web).map(|()| sources.map(|sources| date(&web.join("dist"), sources)));
    let problem = if wanted && !set("STEPFLOW_SKIP_UI") { made().err() } else { None };
    let missing = !web.join("dist/index.html").exists();
    if let Some(problem) = &problem {
        println!("cargo::warning=the web page was not built: {problem}");
    }
    if missing {
        println!(
            "cargo::warning=no web page is embedded: API and CLI work, `/` says how to build it \
             (`npm ci && npm run build` in web/, with Node 20 or newer)"
        );
    }
    if set("STEPFLOW_REQUIRE_UI") && (missing || problem.is_some()) {
        println!("cargo::error=STEPFLOW_REQUIRE_UI=1 and the web page could not be built");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn build(web: &Path) -> Result<(), String> {
    // A checkout that was updated may want other packages than it had.
    let (wanted, installed) = (web.join("package-lock.json"), web.join("node_modules/.installed"));
    let text = fs::read(&wanted).map_err(|error| format!("{}: {error}", wanted.display()))?;
    if !fs::read(&installed).is_ok_and(|found| found == text) {
        npm(web, &["ci", "--no-audit", "--no-fund"])?;
        fs::write(&installed, text).map_err(|error| format!("{}: {error}", installed.display()))?;
    }
    npm(web, &["run", "build"])
}

fn npm(web: &Path, args: &[&str]) -> Result<(), String> {
    let said = Command::new("npm")
        .args(args)
        .current_dir(web)
        .output()
        .map_err(|error| format!("cannot run npm: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("npm {} failed: {}", args.join(" "), last.join(" | ")))
}

/// Dates a page as what it was made from. By its own date Cargo would find it newer than the run of this
/// script that made it, and build all that embeds it once more.
fn date(path: &Path, time: SystemTime) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        date(&entry.path(), time);
    }
    // What keeps its date is built twice, and no more.
    let _ = fs::File::open(path).and_then(|file| file.set_modified(time));
}

/// When the newest file at or below `path` changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_dir() {
        return meta.modified().ok();
    }
    let entries: Vec<PathBuf> =
        fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.iter().filter_map(|entry| newest(entry)).max()
}
