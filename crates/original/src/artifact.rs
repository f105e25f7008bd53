//! A row of `artifacts`, and the copy that the original made of its file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use serde_json::Map;
use sha2::{Digest, Sha256};
use stepflow_model::{ArtifactOrigin, EventKind, ExecutionId};
use stepflow_record::Storage;
use stepflow_sys::disk;

use crate::{
    UpgradeError,
    convert::{cut, size},
    execution::time,
    time::Zone,
    value::{Kept, Row},
};

/// Bytes of one artifact's texts and metadata; more are cut.
const TEXTS_BYTES_MAX: usize = 128 * 1024;
/// The original kept no copy: it found no file, or a directory.
const NO_COPY: &str = "the original StepFlow Monitor kept no copy of it, only its path";

/// A row, read.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) created_us: i64,
    pub(crate) path: String,
    pub(crate) description: String,
    pub(crate) origin: ArtifactOrigin,
    pub(crate) unreadable: u64,
}

impl Artifact {
    pub(crate) fn read(mut row: Row, zone: &Zone, not_before: Option<i64>) -> Self {
        let mut kept = Kept::default();
        let created_us =
            time(&mut row, "created_at", zone, not_before, &mut kept).or(not_before).unwrap_or(0);
        let mut artifact = Self {
            created_us,
            path: row.text("file_path").unwrap_or_default(),
            description: row.text("description").unwrap_or_default(),
            origin: ArtifactOrigin {
                id: row.text("id").unwrap_or_default(),
                step_id: row.text("step_id"),
                name: row.text("name").unwrap_or_default(),
                file_name: row.text("file_name").unwrap_or_default(),
                file_size: kept.integer(&mut row, "file_size").unwrap_or(0),
                mime_type: row.text("mime_type").unwrap_or_default(),
                artifact_type: row.text("artifact_type").unwrap_or_default(),
                tags: kept.texts(&mut row, "tags"),
                metadata: kept.object(&mut row, "metadata"),
                is_public: kept.flag(&mut row, "is_public").unwrap_or(true),
                retention_days: kept.integer(&mut row, "retention_days"),
                extra: Map::new(),
            },
            unreadable: 0,
        };
        let origin = &mut artifact.origin;
        origin.extra = row.rest();
        origin.extra.extend(kept.extra);
        artifact.unreadable = kept.unreadable;
        let texts = [
            &mut artifact.path,
            &mut artifact.description,
            &mut origin.id,
            &mut origin.name,
            &mut origin.file_name,
            &mut origin.mime_type,
            &mut origin.artifact_type,
        ];
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let tags: usize = origin.tags.iter().map(String::len).sum();
        if bytes + tags + size(&origin.metadata) + size(&origin.extra) > TEXTS_BYTES_MAX {
            // The database that is kept has it all.
            artifact.unreadable += 1;
            texts.into_iter().for_each(cut);
            origin.tags.clear();
            origin.metadata.clear();
            origin.extra.clear();
        }
        artifact
    }

    /// Its declaration, as number `number`, in `step`.
    pub(crate) fn declaration(&self, number: u32, step: Option<u32>) -> [EventKind; 2] {
        [
            EventKind::Artifact {
                artifact: number,
                step,
                path: self.path.clone(),
                description: self.description.clone(),
                dialect: None,
            },
            EventKind::ArtifactImported { artifact: number, origin: Box::new(self.origin.clone()) },
        ]
    }

    /// Makes the original's copy available under its digest, and says what came of it.
    pub(crate) fn store(
        &self,
        number: u32,
        storage: &Storage,
        execution: ExecutionId,
        buffer: &mut Vec<u8>,
    ) -> Result<EventKind, UpgradeError> {
        let none = |problem: &str| EventKind::ArtifactStored {
            artifact: number,
            sha256: None,
            size: 0,
            changed: false,
            problem: Some(problem.to_owned()),
        };
        let Some(copy) = copy_of(storage.root(), &self.path) else { return Ok(none(NO_COPY)) };
        let flags = disk::NOFOLLOW_NONBLOCK; // A FIFO must not hold us up.
        let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(&copy) {
            Ok(file) => file,
            Err(error) if is_gone(&error) => {
                return Ok(none("the copy that the original made is gone"));
            }
            Err(error) => return Err(UpgradeError::io("open", &copy)(error)),
        };
        if !file.metadata().map_err(UpgradeError::io("look at", &copy))?.is_file() {
            return Ok(none("what the original copied is not a file"));
        }
        let (sha256, size) = digest(&mut file, buffer).map_err(UpgradeError::io("read", &copy))?;
        link(&copy, &storage.artifact_dir(execution), &sha256)?;
        Ok(EventKind::ArtifactStored {
            artifact: number,
            sha256: Some(sha256),
            size,
            changed: false,
            problem: None,
        })
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::NotFound | K::NotADirectory) || disk::is_link(error)
}

/// The file in the storage that a stored path names; `None`: it names none that the original made.
///
/// Stored paths are relative to the directory that holds the storage directory, which was called
/// `storage` then and may be called otherwise now. Nothing outside the storage is taken: what lies
/// there today is not what was declared.
fn copy_of(root: &Path, stored: &str) -> Option<PathBuf> {
    if stored.contains('\0') {
        return None;
    }
    let parts: Vec<_> = Path::new(stored).components().collect();
    let plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    // `…/artifacts/<execution>/<artifact>_<name>`, whatever stands before.
    if let [.., top, execution, file] = parts.as_slice()
        && top.as_os_str() == "artifacts"
        && plain(execution)
        && plain(file)
    {
        return Some(root.join("artifacts").join(execution).join(file));
    }
    if parts.contains(&Component::ParentDir) {
        return None;
    }
    let whole = root.parent()?.join(stored);
    whole.starts_with(root.join("artifacts")).then_some(whole)
}

/// SHA-256, hex, and size.
fn digest(file: &mut File, buffer: &mut Vec<u8>) -> io::Result<(String, u64)> {
    use std::fmt::Write;
    let mut digest = Sha256::new();
    let mut size = 0;
    buffer.resize(256 * 1024, 0);
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                digest.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let digest = digest.finalize();
    Ok((
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        size,
    ))
}

/// A second name for `copy`; where the file system has no such thing, a copy of its own.
fn link(copy: &Path, dir: &Path, sha256: &str) -> Result<(), UpgradeError> {
    let target = dir.join(sha256);
    let mut linked = fs::hard_link(copy, &target);
    if matches!(&linked, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(UpgradeError::io("create", dir))?;
        linked = fs::hard_link(copy, &target);
    }
    match linked {
        Ok(()) => Ok(()),
        // Two artifacts with the same content, or an attempt before this one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => {
            let unfinished = dir.join(format!("{sha256}.unfinished"));
            fs::copy(copy, &unfinished).map_err(UpgradeError::io("copy", copy))?;
            fs::rename(&unfinished, &target).map_err(UpgradeError::io("create", &target))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_path_names_a_copy_in_the_storage_or_nothing() {
        let root = Path::new("/srv/data");
        let inside = Some(PathBuf::from("/srv/data/artifacts/e/a_name"));
        for (stored, expected) in [
            ("storage/artifacts/e/a_name", inside.clone()),
            ("./storage/artifacts/e/a_name", inside.clone()),
            ("data/artifacts/e/a_name", inside.clone()),
            ("/elsewhere/storage/artifacts/e/a_name", inside.clone()),
            ("data/artifacts/e/sub/a", Some(PathBuf::from("/srv/data/artifacts/e/sub/a"))),
            ("./out2/missing.bin", None),
            ("/etc/passwd", None),
            ("../secret", None),
            ("storage/artifacts/e/..", None),
            ("storage/artifacts/../e/../../../etc/passwd", None),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(copy_of(root, stored), expected, "{stored}");
        }
    }

    #[test]
    fn a_copy_gets_a_second_name_and_the_first_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("odd \"name\"\n\u{202e}");
        fs::write(&copy, "content").unwrap();
        let target = dir.path().join("new/dir");
        let (sha256, size) = digest(&mut File::open(&copy).unwrap(), &mut Vec::new()).unwrap();
        assert_eq!(size, 7);
        for _ in 0..2 {
            link(&copy, &target, &sha256).unwrap();
        }
        assert_eq!(fs::read(target.join(&sha256)).unwrap(), b"content");
        assert!(copy.exists());
        // Across file systems there is no second name.
        let elsewhere = Path::new("/dev/shm").join(format!("stepflow-{}", std::process::id()));
        link(&copy, &elsewhere, &sha256).unwrap();
        assert_eq!(fs::read(elsewhere.join(&sha256)).unwrap(), b"content");
        fs::remove_dir_all(elsewhere).unwrap();
    }
}
