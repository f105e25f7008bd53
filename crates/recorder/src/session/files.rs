//! The files that GitHub's actions write their results to, for scripts that are known to use them:
//! made before the start, read once after the end, and gone then.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use stepflow_markers::dialects::{
    self,
    github::{EnvironmentFile, environment_file},
};
use stepflow_model::Spec;

const DIALECT: &str = "github";
/// The directory in the record that holds them.
const NAME: &str = "github";
/// No more of a file is read.
const BYTES_MAX: u64 = 8 << 20;

/// The variables that name the files of an execution whose record is in `dir`; none if its script is
/// not known to use them, and none that its environment declares itself.
pub(crate) fn variables(dir: &Path, spec: &Spec) -> Vec<(&'static str, PathBuf)> {
    if !spec.source.has_command() || !spec.dialects().is_hinted(DIALECT) {
        return Vec::new();
    }
    let names = EnvironmentFile::ALL.into_iter().map(EnvironmentFile::variable);
    let own = names
        .filter(|name| !spec.env.contains_key(*name) && !spec.mask_env.iter().any(|m| m == name));
    own.map(|name| (name, dir.join(NAME).join(name))).collect()
}

/// Makes them, empty.
pub(super) fn make(dir: &Path, spec: &Spec) -> io::Result<()> {
    let files = variables(dir, spec);
    if files.is_empty() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).recursive(true).create(dir.join(NAME))?;
    for (_, path) in files {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    }
    Ok(())
}

/// What they say, and removes them.
pub(super) fn collect(dir: &Path, spec: &Spec) -> Vec<dialects::Event> {
    let mut said = Vec::new();
    let files = variables(dir, spec);
    for file in EnvironmentFile::ALL {
        let Some((_, path)) = files.iter().find(|(name, _)| *name == file.variable()) else {
            continue;
        };
        let mut content = Vec::new();
        // One that the script removed says nothing.
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut content));
        if read.is_ok() {
            let place = dialects::Place::default();
            let event = |kind| dialects::Event { place, dialect: DIALECT.into(), kind };
            said.extend(environment_file(file, &content).into_iter().map(event));
        }
    }
    if !files.is_empty() {
        let _ = fs::remove_dir_all(dir.join(NAME));
    }
    said
}
