//! `stepflow.toml`, and where the storage is: flag, environment, file, the user's data directory.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use stepflow_record::Storage;

use crate::{
    args::{Containment, Leftover, LogFull, LogSync, OnOff},
    commands::prune::FileRule,
    failure::Failure,
    text::why,
};

/// What `stepflow.toml` in the working directory may say. `docs/reference/configuration.md`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The storage directory, relative to the file.
    storage_path: Option<PathBuf>,
    /// For `stepflow serve`.
    #[serde(default)]
    pub serve: ServeFile,
    /// What is kept, and for how long; the first rule that covers an execution decides.
    #[serde(default)]
    pub retention: Vec<FileRule>,
}

/// The table `[serve]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeFile {
    pub listen: Option<SocketAddr>,
    pub auth: Option<OnOff>,
    #[serde(default)]
    pub hosts: Vec<String>,
    pub base_path: Option<String>,
    pub max_running: Option<usize>,
    /// A time, as in `60s`.
    pub ingest_resume: Option<String>,
    /// A time, as in `60s`, or `off`.
    pub compress_after: Option<String>,
    pub legacy_ws: Option<SocketAddr>,
    pub log_sync: Option<LogSync>,
    pub containment: Option<Containment>,
    pub leftover: Option<Leftover>,
    pub drain_timeout: Option<String>,
    /// A size, as in `10G`; 0: no limit.
    pub log_max_bytes: Option<String>,
    pub log_full: Option<LogFull>,
    pub log_level: Option<String>,
    pub cache_size: Option<u32>,
    pub wal_autocheckpoint: Option<u32>,
    pub requests_per_second: Option<u32>,
    pub streams_per_caller: Option<usize>,
    pub upload_max: Option<u64>,
}

/// Reads the file; everything is absent where there is none.
pub fn file() -> Result<File, Failure> {
    match fs::read_to_string("stepflow.toml") {
        Ok(text) => toml::from_str(&text).map_err(|error| {
            Failure::new(why::bad_settings_file(error.message())).hint(why::settings_are_listed())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(Failure::new(why::bad_settings_file(error))),
    }
}

/// Finds and opens the storage.
pub fn storage(flag: Option<&Path>) -> Result<Storage, Failure> {
    Ok(Storage::open(&directory(flag)?)?)
}

/// Finds the storage, and makes nothing.
pub fn storage_as_it_is(flag: Option<&Path>) -> Result<Storage, Failure> {
    Ok(Storage::at(&directory(flag)?)?)
}

fn directory(flag: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = file()?.storage_path {
        return Ok(path);
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("stepflow"))
        .ok_or_else(|| Failure::new(why::no_storage_directory()).hint(why::pass_storage()))
}
