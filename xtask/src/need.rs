//! What the tests need, installed by package name if it is missing.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::run;

/// A program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 4] =
    [("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium"), ("python3", "python3")];

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The programs that the tests run.
pub fn tools() -> Result<(), String> {
    let here = Path::new(".");
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        run(here, "apt-get", &["update", "-q"])?;
        let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
        args.extend(missing);
        run(here, "apt-get", &args)?;
    }
    if !has("cargo-nextest") {
        run(here, "cargo", &["install", "cargo-nextest", "--locked"])?;
    }
    Ok(())
}

/// The page's own packages.
pub fn page(web: &Path) -> Result<(), String> {
    if web.join("node_modules/.package-lock.json").exists() {
        return Ok(());
    }
    run(web, "npm", &["ci", "--no-audit", "--no-fund"])
}

/// The tool that looks at licences and sources of dependencies.
pub fn deny() -> Result<(), String> {
    if has("cargo-deny") {
        return Ok(());
    }
    // A debug build: it runs for a second and takes minutes less to compile.
    run(Path::new("."), "cargo", &["install", "cargo-deny", "--locked", "--debug"])
}
