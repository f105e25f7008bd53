//! The page's tests in a headless browser, said as a rig says it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{need, run};

/// `cargo xtask page`: builds the page if it is not there, runs `web/e2e`.
pub fn page(root: &Path, args: &[String]) -> Result<(), String> {
    let seed = match args {
        [] => crate::rigs::SEED.to_string(),
        [flag, seed] if flag == "--seed" => seed.clone(),
        _ => return Err("usage: cargo xtask page [--seed N]".to_owned()),
    };
    let web = root.join("web");
    need::tools()?;
    need::page(&web)?;
    if !web.join("dist/index.html").is_file() {
        run(&web, "npm", &["run", "--silent", "build"])?;
    }
    let begun = Instant::now();
    let output = Command::new("npm")
        .args(["run", "--silent", "e2e"])
        .current_dir(&web)
        .env("STEPFLOW_TEST_SEED", &seed)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run npm: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let took = begun.elapsed().as_secs_f64();
    let count = |word| count(&text, word);
    let (passed, failed, skipped) = (count("pass"), count("fail"), count("skipped"));
    if output.status.success() && passed > 0 && failed == 0 && skipped == 0 {
        println!("page HELD: {passed} tests in a headless browser; seed {seed}, {took:.1} s");
        return Ok(());
    }
    let what = format!("{passed} passed, {failed} failed, {skipped} skipped");
    println!("page BROKEN: {what}; seed {seed}, after {took:.1} s");
    Err(format!("npm run e2e: {}", output.status))
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
}
