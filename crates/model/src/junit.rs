//! Which files of test results are read after the end.

use serde::{Deserialize, Serialize};

/// Which files are read, as patterns; see [`check_junit`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JunitFiles {
    /// Below the working directory.
    pub globs: Vec<String>,
    /// Nobody asked for them for this execution: it is no fault if there are none.
    #[serde(default)]
    pub may_miss: bool,
}

impl JunitFiles {
    /// Those that somebody asked for.
    pub fn wanted(globs: Vec<String>) -> Self {
        Self { globs, may_miss: false }
    }

    /// Whether no pattern is given.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }
}

/// Most patterns of one execution.
pub const JUNIT_GLOBS_MAX: usize = 100;
/// Longest pattern, in bytes.
const GLOB_BYTES_MAX: usize = 4 * 1024;

/// Patterns that name no files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitGlobError {
    /// There are too many.
    #[error("more than {JUNIT_GLOBS_MAX} patterns for files of test results")]
    TooMany,
    /// One is empty, or too long.
    #[error("a pattern for files of test results has 1 to {GLOB_BYTES_MAX} bytes")]
    Length,
    /// One leads out of the working directory.
    #[error("`{glob}` leads out of the working directory: results are read below it")]
    Outside {
        /// The pattern.
        glob: String,
    },
}

/// Whether files can be found by these patterns: relative to the working directory, or absolute and
/// below it; `*`, `?` and `[…]` within a name, `**` for any directories.
///
/// # Errors
/// [`JunitGlobError`] names what is wrong.
pub fn check_junit(globs: &[String]) -> Result<(), JunitGlobError> {
    if globs.len() > JUNIT_GLOBS_MAX {
        return Err(JunitGlobError::TooMany);
    }
    for glob in globs {
        if glob.is_empty() || glob.len() > GLOB_BYTES_MAX || glob.contains('\0') {
            return Err(JunitGlobError::Length);
        }
        if glob.split('/').any(|part| part == "..") {
            return Err(JunitGlobError::Outside { glob: glob.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_below_the_working_directory() {
        for good in ["report.xml", "build/**/*.xml", "/srv/out/r-?.xml", "a..b/[x]/*.xml"] {
            assert_eq!(check_junit(&[good.to_owned()]), Ok(()), "{good}");
        }
        for bad in ["", "../report.xml", "a/../../b", "a\0b", &"x".repeat(GLOB_BYTES_MAX + 1)] {
            assert!(check_junit(&[bad.to_owned()]).is_err(), "{bad:.20}");
        }
        assert!(check_junit(&vec!["a".to_owned(); JUNIT_GLOBS_MAX + 1]).is_err());
    }
}
