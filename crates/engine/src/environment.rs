//! What a script that is started here inherits: an allow-list, and what was declared for it.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use stepflow_model::ExecutionId;

/// Names that are passed on from this process, besides all that begin with `LC_`.
const PASSED_ON: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM"];

fn is_passed_on(name: &OsStr) -> bool {
    PASSED_ON.iter().any(|known| name == *known) || name.as_bytes().starts_with(b"LC_")
}

/// Names of what is passed on now, sorted.
pub(crate) fn inherited_names() -> Vec<String> {
    let mut names: Vec<String> = env::vars_os()
        .filter(|(name, _)| is_passed_on(name))
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// The whole environment of a script: what is passed on, then what was declared for it.
pub(crate) fn whole(
    id: ExecutionId,
    declared: &BTreeMap<String, String>,
    secrets: &[(String, String)],
    pty: bool,
) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> =
        env::vars_os().filter(|(name, _)| is_passed_on(name)).collect();
    if pty {
        // A service has no terminal, or a dumb one; ours is what nearly every viewer understands.
        let known = |term: &OsString| !term.is_empty() && term != "dumb";
        if !all.get(OsStr::new("TERM")).is_some_and(known) {
            all.insert("TERM".into(), "xterm-256color".into());
        }
    } else {
        // Python holds output back when it writes to a pipe: steps would come all at once at the
        // end.
        all.insert("PYTHONUNBUFFERED".into(), "1".into());
    }
    all.extend(declared.iter().map(|(name, value)| (name.into(), value.into())));
    all.extend(secrets.iter().map(|(name, value)| (name.into(), value.into())));
    all.insert("STEPFLOW_EXECUTION_ID".into(), id.to_string().into());
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gets_the_allowed_and_the_declared_and_nothing_else() {
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let declared = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("PATH".to_owned(), "/x".to_owned()),
        ]);
        let secrets = [("TOKEN".to_owned(), "secret".to_owned())];
        let all = whole(id, &declared, &secrets, false);
        let get = |wanted: &str| {
            all.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.to_str())
        };
        assert_eq!(get("A"), Some("1"));
        assert_eq!(get("PATH"), Some("/x"));
        assert_eq!(get("TOKEN"), Some("secret"));
        assert_eq!(get("PYTHONUNBUFFERED"), Some("1"));
        assert_eq!(get("STEPFLOW_EXECUTION_ID"), Some("0198c2aa-0000-7000-8000-000000000001"));
        assert_eq!(get("CARGO_MANIFEST_DIR"), None); // Set by the test's own surroundings.
    }

    #[test]
    fn a_script_with_a_terminal_is_told_which_and_needs_no_help_with_python() {
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let all = whole(id, &BTreeMap::new(), &[], true);
        let get = |wanted: &str| all.iter().find(|(name, _)| name == wanted);
        assert!(get("TERM").is_some_and(|(_, term)| !term.is_empty() && term != "dumb"));
        assert_eq!(get("PYTHONUNBUFFERED"), None);
        let declared = BTreeMap::from([("TERM".to_owned(), "vt100".to_owned())]);
        assert!(whole(id, &declared, &[], true).contains(&("TERM".into(), "vt100".into())));
    }
}
