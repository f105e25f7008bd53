//! `stepflow.toml`, and where the storage is: flag, environment, file, the user's data directory.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use stepflow_record::{MinFree, Storage};

use crate::{
    args::{self, Containment, Leftover, LogFull, LogSync, OnDiskFull, OnOff},
    commands::prune::FileRule,
    doctor::bytes,
    failure::{self, Failure},
    text::why,
};

/// What `stepflow.toml` in the working directory may say. `docs/reference/configuration.md`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The storage directory, relative to the file.
    storage_path: Option<PathBuf>,
    /// Bytes that must be free before a new execution is accepted, as in `500M`; 0: none.
    pub disk_min_free: Option<String>,
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
    pub on_disk_full: Option<OnDiskFull>,
    pub drain_timeout: Option<String>,
    /// A size, as in `10G`; 0: no limit.
    pub log_max_bytes: Option<String>,
    pub log_full: Option<LogFull>,
    pub dialect: Option<String>,
    /// Patterns of files.
    #[serde(default)]
    pub junit: Vec<String>,
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

/// What must be free before a new execution is accepted: flag, environment, file.
pub fn min_free(flag: Option<u64>, file: Option<&str>) -> Result<MinFree, Failure> {
    let variable = env::var("STEPFLOW_DISK_MIN_FREE").ok().filter(|text| !text.trim().is_empty());
    match (flag, variable.as_deref().or(file)) {
        (Some(bytes), _) => Ok(MinFree::Bytes(bytes)),
        (None, Some(text)) => args::size(text.trim()).map(MinFree::Bytes).map_err(Failure::new),
        (None, None) => Ok(MinFree::Usual),
    }
}

/// Refuses to start anything new on a disk that has too little room.
pub fn check_room(storage: &Storage) -> Result<(), Failure> {
    let own = |failure: Failure| failure.code(failure::OWN);
    let least = min_free(None, file().map_err(own)?.disk_min_free.as_deref()).map_err(own)?;
    storage.check_room(least).map_err(|short| {
        let (free, wanted) = (bytes(short.free), bytes(short.wanted));
        own(Failure::new(why::too_little_room(free, wanted)).hint(why::make_room()))
    })
}

/// Finds and opens the storage.
pub fn storage(flag: Option<&Path>) -> Result<Storage, Failure> {
    Ok(Storage::open(&directory(flag)?)?)
}

/// Finds the storage, and makes nothing.
pub fn storage_as_it_is(flag: Option<&Path>) -> Result<Storage, Failure> {
    Ok(Storage::at(&directory(flag)?)?)
}

/// Where the storage is, or would be.
pub fn directory(flag: Option<&Path>) -> Result<PathBuf, Failure> {
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
