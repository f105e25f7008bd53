//! What is generated and committed: the page's types, from the wire's.

use std::{fs, path::Path, process::Command};

const TYPES: &str = "web/src/lib/api/types.ts";

/// Writes the page's types, or only tells whether they are what they should be.
pub fn codegen(root: &Path, check: bool) -> Result<(), String> {
    let args =
        ["run", "--quiet", "-p", "stepflow-api", "--features", "ts", "--example", "typescript"];
    let output = Command::new("cargo")
        .args(args)
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {}: {}", args.join(" "), output.status));
    }
    let path = root.join(TYPES);
    let same = fs::read(&path).is_ok_and(|text| text == output.stdout);
    if same {
        return Ok(());
    }
    if check {
        return Err(format!("{TYPES} is not what crates/api says: run `cargo xtask codegen`"));
    }
    println!("--- {TYPES}");
    fs::write(&path, output.stdout).map_err(|error| format!("{}: {error}", path.display()))
}
