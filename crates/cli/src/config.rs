//! Where the storage is: flag, environment, `stepflow.toml`, the user's data directory.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use stepflow_record::Storage;

use crate::failure::Failure;

/// What `stepflow.toml` in the working directory may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The storage directory, relative to the file.
    storage_path: Option<PathBuf>,
}

/// Finds and opens the storage.
pub fn storage(flag: Option<&Path>) -> Result<Storage, Failure> {
    Ok(Storage::open(&directory(flag)?)?)
}

fn directory(flag: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    match fs::read_to_string("stepflow.toml") {
        Ok(text) => {
            let file: File = toml::from_str(&text).map_err(|error| {
                Failure::new(format!("cannot read stepflow.toml: {}", error.message()))
                    .hint("it may hold `storage_path = \"DIR\"`")
            })?;
            if let Some(path) = file.storage_path {
                return Ok(path);
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::new(format!("cannot read stepflow.toml: {error}"))),
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("stepflow"))
        .ok_or_else(|| {
            Failure::new("no storage directory: neither HOME nor XDG_DATA_HOME is set")
                .hint("pass --storage DIR or set STEPFLOW_STORAGE_PATH")
        })
}
