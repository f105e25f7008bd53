//! The user's problem matchers: files in the configuration directory and in the storage. One that
//! cannot be used is left out and told of; it stops nothing.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use stepflow_markers::dialects::{Matcher, Selection, TEXT_BYTES_MAX};

use crate::{
    failure::Failure,
    text::{serving, why},
};

/// The directory's name, wherever it is.
const DIRECTORY: &str = "problem_matchers";
/// More files are left out: each is looked for in every line.
const FILES_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub struct Matchers {
    /// Texts by name; all can be used.
    pub texts: BTreeMap<String, String>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

impl Matchers {
    /// Those of the user, and those of the storage, which stand in the place of the user's.
    pub fn read(storage: Option<&Path>) -> Self {
        let mut found = Self::default();
        for directory in configuration().into_iter().chain(storage.map(Path::to_owned)) {
            found.add(&directory.join(DIRECTORY));
        }
        found
    }

    /// The same; what was left out is said on standard error.
    pub fn read_and_tell(storage: Option<&Path>) -> BTreeMap<String, String> {
        let Self { texts, warnings } = Self::read(storage);
        for warning in warnings {
            let _ = writeln!(io::stderr(), "{}", serving::warning(warning));
        }
        texts
    }

    fn add(&mut self, directory: &Path) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.warn(directory, &error),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
            match file(path) {
                Ok((name, _))
                    if self.texts.len() >= FILES_MAX && !self.texts.contains_key(&name) =>
                {
                    return self.warn(path, &why::too_many_matchers(FILES_MAX));
                }
                Ok((name, text)) => {
                    self.texts.insert(name, text);
                }
                Err(why) => self.warn(path, &why),
            }
        }
    }

    fn warn(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        self.warnings.push(why::problem_matcher(path.display(), why));
    }
}

/// A list of dialects and problem matchers, where the user has these.
pub fn selection(list: &str, matchers: &BTreeMap<String, String>) -> Result<Selection, Failure> {
    Selection::parse_with(list, matchers).map_err(|error| Failure::new(why::dialects(&error)))
}

/// One file's name and text.
fn file(path: &Path) -> Result<(String, String), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    // A pipe would be waited for.
    if !fs::metadata(path).map_err(|error| say(&error))?.is_file() {
        return Err(why::not_a_file());
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| say(&error))?;
    // One more than it may have: then it is refused by the one who knows why.
    file.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| say(&error))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let matcher = Matcher::parse(&name, &text).map_err(|error| say(&error))?;
    matcher.check().map_err(|error| say(&error))?;
    Ok((name, text))
}

/// The user's configuration directory for this program.
fn configuration() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|directory| directory.join("stepflow"))
}
