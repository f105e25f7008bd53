//! Which files match a pattern: without following links, within limits, in one order.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Component, Path, PathBuf},
    time::Instant,
};

use glob::{MatchOptions, Pattern};

/// Most entries of directories that are looked at.
const ENTRIES_MAX: usize = 200_000;
/// Directories stand in one another this deep at most.
const DEPTH_MAX: usize = 64;
/// As a shell matches: `*` finds nothing that is hidden.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What matches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Matching {
    /// Relative to the directory.
    pub(super) files: BTreeSet<PathBuf>,
    /// Everything was looked at.
    pub(super) whole: bool,
}

/// One name of a pattern.
enum Part {
    Name(String),
    Like(Pattern),
    /// Any directories, or none.
    Any,
}

/// Files below `directory` that match `glob`: no more than `files_max`, no longer than until
/// `deadline`. A pattern that leads out of it matches nothing.
pub(super) fn matching(
    directory: &Path,
    glob: &Path,
    deadline: Instant,
    files_max: usize,
) -> Matching {
    let mut found = Matching { files: BTreeSet::new(), whole: true };
    let Some(parts) = parts(glob) else { return found };
    let mut entries = 0;
    let mut seen = HashSet::new();
    let mut left = vec![(PathBuf::new(), 0, 0)];
    while let Some((dir, at, depth)) = left.pop() {
        if found.files.len() > files_max || entries > ENTRIES_MAX || Instant::now() >= deadline {
            found.whole = false;
            break;
        }
        if depth > DEPTH_MAX || !seen.insert((dir.clone(), at)) {
            continue;
        }
        let last = at + 1 == parts.len();
        let part = match &parts[at] {
            Part::Name(name) => {
                let path = dir.join(name);
                let about = fs::symlink_metadata(directory.join(&path));
                if last && about.as_ref().is_ok_and(|about| !about.is_dir()) {
                    found.files.insert(path);
                } else if !last && about.is_ok_and(|about| about.is_dir()) {
                    left.push((path, at + 1, depth + 1));
                }
                continue;
            }
            part => part,
        };
        if matches!(part, Part::Any) && !last {
            left.push((dir.clone(), at + 1, depth)); // None at all.
        }
        let Ok(listing) = fs::read_dir(directory.join(&dir)) else { continue };
        for entry in listing.flatten() {
            entries += 1;
            if entries > ENTRIES_MAX {
                break;
            }
            let name = entry.file_name();
            let (Some(text), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
            let path = || dir.join(&name);
            match part {
                Part::Any if text.starts_with('.') => {}
                Part::Any if kind.is_dir() => left.push((path(), at, depth + 1)),
                Part::Any if last => {
                    found.files.insert(path());
                }
                Part::Like(pattern) if pattern.matches_with(text, LIKE_A_SHELL) => {
                    if last && !kind.is_dir() {
                        found.files.insert(path());
                    } else if !last && kind.is_dir() {
                        left.push((path(), at + 1, depth + 1));
                    }
                }
                _ => {}
            }
        }
    }
    found
}

fn parts(glob: &Path) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for component in glob.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => {
                let name = name.to_str()?;
                parts.push(match name {
                    "**" => Part::Any,
                    _ if !name.contains(['*', '?', '[']) => Part::Name(name.to_owned()),
                    _ => match Pattern::new(name) {
                        Ok(pattern) => Part::Like(pattern),
                        Err(_) => Part::Name(name.to_owned()), // `a[1` is a name like any other.
                    },
                });
            }
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_match_as_in_a_shell_and_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        for file in ["r.xml", "a/r.xml", "a/b/r1.xml", "a/b/r2.xml", "a/.h/r.xml", ".r.xml", "a[1"]
        {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
        let find = |glob: &str, files_max| {
            let deadline = Instant::now() + Duration::from_secs(60);
            let found = matching(root.path(), Path::new(glob), deadline, files_max);
            let names: Vec<_> = found.files.iter().map(|f| f.display().to_string()).collect();
            (names.join(" "), found.whole)
        };
        for (glob, expected) in [
            ("r.xml", "r.xml"),
            ("./r.xml", "r.xml"),
            ("*.xml", "r.xml"),
            ("*/*.xml", "a/r.xml"),
            ("**/*.xml", "a/b/r1.xml a/b/r2.xml a/r.xml r.xml"),
            ("**/**/r?.xml", "a/b/r1.xml a/b/r2.xml"),
            ("a/**", "a/b/r1.xml a/b/r2.xml a/r.xml"),
            ("a/b/r[2-9].xml", "a/b/r2.xml"),
            ("a/.h/*", "a/.h/r.xml"),
            ("a[1", "a[1"),
            ("a", ""),
            ("none/*", ""),
            ("link/*.xml", ""),
            ("../*", ""),
            ("/etc/*", ""),
            ("", ""),
        ] {
            assert_eq!(find(glob, 100), (expected.to_owned(), true), "{glob}");
        }
        assert!(!find("**/*.xml", 1).1);
        let past = Instant::now();
        assert!(!matching(root.path(), Path::new("*"), past, 100).whole);
    }
}
