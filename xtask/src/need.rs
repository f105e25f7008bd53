//! What the tests need, installed by package name if it is missing.

use std::{env, path::Path};

use crate::run;

/// A program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 13] = [
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("python3", "python3"),
    ("promtool", "prometheus"),
    ("sqlite3", "sqlite3"),
    ("curl", "curl"),
    ("jq", "jq"),
    ("tmux", "tmux"),
    ("zsh", "zsh"),
    ("ksh", "ksh93u+m"),
    ("mksh", "mksh"),
    ("busybox", "busybox"),
];

/// Whether the search path leads to it.
fn has(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Debian packages of rigs. One that cannot be had is said; its rig then says that it did not run.
pub fn packages<'a>(wanted: impl Iterator<Item = &'a str>) {
    let mut missing: Vec<&str> = wanted.filter(|package| !is_installed(package)).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return;
    }
    let here = Path::new(".");
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(missing);
    let done = run(here, "apt-get", &["update", "-q"]).and_then(|()| run(here, "apt-get", &args));
    if let Err(error) = done {
        println!("--- cannot install it: {error}");
    }
}

fn is_installed(package: &str) -> bool {
    let status = std::process::Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output();
    status.is_ok_and(|output| output.stdout == b"installed")
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
    nextest()
}

/// The runner of tests.
pub fn nextest() -> Result<(), String> {
    if has("cargo-nextest") {
        return Ok(());
    }
    run(Path::new("."), "cargo", &["install", "cargo-nextest", "--locked"])
}

/// A Python with what `xtask/openapi` needs, in a directory of its own; where its program is.
pub fn openapi(root: &Path) -> Result<String, String> {
    let venv = root.join("target/openapi-venv");
    let python = venv.join("bin/python").display().to_string();
    let wanted = root.join("xtask/openapi/requirements.txt");
    let (wanted, installed) = (wanted.display().to_string(), venv.join("installed"));
    let text = std::fs::read(&wanted).map_err(|error| format!("{wanted}: {error}"))?;
    if std::fs::read(&installed).is_ok_and(|found| found == text) {
        return Ok(python);
    }
    let here = Path::new(".");
    let venv = venv.display().to_string();
    if run(here, "python3", &["-m", "venv", &venv]).is_err() {
        // Debian has the module in a package of its own.
        run(here, "apt-get", &["install", "-q", "-y", "--no-install-recommends", "python3-venv"])?;
        run(here, "python3", &["-m", "venv", &venv])?;
    }
    run(here, &python, &["-m", "pip", "install", "-q", "-r", &wanted])?;
    std::fs::write(&installed, text)
        .map_err(|error| format!("{}: {error}", installed.display()))?;
    Ok(python)
}

/// The page's own packages, as its lock file has them now: a checkout that was updated gets new
/// ones.
pub fn page(web: &Path) -> Result<(), String> {
    let (wanted, installed) = (web.join("package-lock.json"), web.join("node_modules/.installed"));
    let text = std::fs::read(&wanted).map_err(|error| format!("{}: {error}", wanted.display()))?;
    if std::fs::read(&installed).is_ok_and(|found| found == text) {
        return Ok(());
    }
    run(web, "npm", &["ci", "--no-audit", "--no-fund"])?;
    std::fs::write(&installed, text).map_err(|error| format!("{}: {error}", installed.display()))
}

/// The tool that looks at licences and sources of dependencies.
pub fn deny() -> Result<(), String> {
    if has("cargo-deny") {
        return Ok(());
    }
    // A debug build: it runs for a second and takes minutes less to compile.
    run(Path::new("."), "cargo", &["install", "cargo-deny", "--locked", "--debug"])
}
