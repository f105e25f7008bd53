//! Idempotency keys: a request that is sent again makes no second execution.
//!
//! `<storage>/keys/<sha256 of the key>` names the execution of a key. It is synced before the record
//! is made, so that whoever crashes in between leaves a key whose execution does not exist: then
//! nothing was accepted, and the next request with it makes one. One request of a key at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stepflow_model::ExecutionId;
use stepflow_record::{RecordError, Storage};
use stepflow_sys::clock;
use tokio::sync::{Mutex, MutexGuard};

use crate::{CreateError, Engine, core::blocking, handle::Handle, request::Prepared};

/// Where keys are kept, below the storage.
pub(crate) const DIRECTORY: &str = "keys";
/// How long a key is kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Most keys that are kept at a time; at it, requests with a new one are refused.
pub const KEYS_MAX: usize = 100_000;
/// Old ones are looked for this often, when there are new ones.
const SWEPT_EVERY: Duration = Duration::from_secs(3_600);
/// Keys whose digests begin alike wait for each other.
const LOCKS: usize = 16;

/// A key, with what was asked for under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// SHA-256 of the key, hex: a file's name, whatever the key.
    key: String,
    /// SHA-256 of the request, hex.
    request: String,
}

impl Once {
    /// Checks a key; `request` are the bytes of what is asked for, less what must not be kept even
    /// as a digest.
    ///
    /// # Errors
    /// [`CreateError::KeyInvalid`] unless it has 1 to [`KEY_BYTES_MAX`] visible ASCII characters.
    pub fn new(key: &str, request: &[u8]) -> Result<Self, CreateError> {
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !is_plain {
            return Err(CreateError::KeyInvalid);
        }
        Ok(Self { key: digest(key.as_bytes()), request: digest(request) })
    }
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What a key's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: ExecutionId,
    request: String,
    at_us: i64,
    /// The execution has been there: if it is gone, it was deleted. Not synced, for a power cut in
    /// the moment before the deletion would have to take this and leave that.
    accepted: bool,
}

impl Entry {
    fn is_old(&self, now_us: i64) -> bool {
        let age = now_us.saturating_sub(self.at_us);
        u64::try_from(age).is_ok_and(|age| Duration::from_micros(age) > KEPT)
    }
}

/// The keys of one storage.
#[derive(Debug)]
pub(crate) struct Keys {
    dir: PathBuf,
    locks: [Mutex<()>; LOCKS],
    /// How many there are; counted when the first one comes.
    count: AtomicUsize,
    swept: StdMutex<Option<Instant>>,
}

impl Keys {
    pub(crate) fn new(storage: &Storage) -> Self {
        Self {
            dir: storage.root().join(DIRECTORY),
            locks: Default::default(),
            count: AtomicUsize::new(0),
            swept: StdMutex::default(),
        }
    }

    async fn lock(&self, key: &str) -> MutexGuard<'_, ()> {
        let first = key.bytes().next().unwrap_or_default();
        self.locks[usize::from(first) % LOCKS].lock().await
    }

    /// What is kept under a key; an unreadable file is none.
    fn read(&self, key: &str) -> Result<Option<Entry>, RecordError> {
        let path = self.dir.join(key);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Keeps an entry; with `synced`, whatever happens after this.
    fn write(&self, key: &str, entry: &Entry, synced: bool) -> Result<(), RecordError> {
        let path = self.dir.join(key);
        let new = self.dir.join(format!("{key}.new"));
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(entry)?)?;
            if synced {
                file.sync_all()?;
            }
            fs::rename(&new, &path)?;
            if synced {
                sync_dir(&self.dir)?;
                // The directory itself may be new.
                self.dir.parent().map_or(Ok(()), sync_dir)?;
            }
            Ok(())
        };
        write().map_err(failed("write", &path))
    }

    fn remove(&self, key: &str) {
        if fs::remove_file(self.dir.join(key)).is_ok() {
            let _ = self.count.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
        }
    }

    /// Whether old ones should be looked for now.
    fn sweep_is_due(&self) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = swept.is_none_or(|at| at.elapsed() > SWEPT_EVERY);
        if due {
            *swept = Some(Instant::now());
        }
        due
    }

    /// Removes old ones, and counts the rest.
    async fn sweep(self: Arc<Self>) {
        let keys = Arc::clone(&self);
        let names = blocking(move || {
            let entries = fs::read_dir(&keys.dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        });
        let names = names.await.unwrap_or_default();
        self.count.store(names.len(), Relaxed);
        for name in names {
            // Under its lock: it may be being kept anew.
            let _held = self.lock(&name).await;
            let keys = Arc::clone(&self);
            let looked = blocking(move || {
                let old = match keys.read(&name) {
                    Ok(Some(entry)) => entry.is_old(clock::wall_us()),
                    // Half of one, of a server that was killed.
                    Ok(None) => true,
                    Err(_) => false,
                };
                if old {
                    keys.remove(&name);
                }
            });
            let _ = looked.await;
        }
    }
}

/// Copies the keys of the storage `from` that still count to the storage `to`: who asks again after a
/// restore gets what was accepted, and not a second one. Nothing is synced.
pub(crate) fn copy_keys(from: &Path, to: &Path) -> Result<(), RecordError> {
    let (from, to) = (from.join(DIRECTORY), to.join(DIRECTORY));
    let entries = match fs::read_dir(&from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("list", &from)(error)),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&to).map_err(failed("create", &to))?;
    let now_us = clock::wall_us();
    for entry in entries {
        let entry = entry.map_err(failed("list", &from))?;
        let is_digest =
            |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !entry.file_name().to_str().is_some_and(is_digest) {
            continue; // Half of one that is just being written.
        }
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // Just swept.
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let counts = |entry: &Entry| !entry.is_old(now_us);
        if serde_json::from_slice::<Entry>(&bytes).is_ok_and(|entry| counts(&entry)) {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&target);
            file.and_then(|mut file| file.write_all(&bytes)).map_err(failed("write", &target))?;
        }
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError + use<> {
    let path = path.to_owned();
    move |source| RecordError::Io { what, path, source }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Engine {
    /// Accepts what has been checked, unless a request with the same key has been accepted within
    /// 24 h: then that one's execution, and `true`.
    pub(crate) async fn accept_once(
        &self,
        prepared: Prepared,
        once: Option<Once>,
    ) -> Result<(Arc<Handle>, bool), CreateError> {
        let Some(once) = once else { return Ok((self.accept(prepared).await?, false)) };
        let engine = self.clone();
        // A task of its own: a caller that goes away lets no second one in before this is done.
        let task = self.core.tasks.spawn(async move { engine.keyed(prepared, once).await });
        task.await.unwrap_or(Err(CreateError::Closing))
    }

    async fn keyed(
        &self,
        prepared: Prepared,
        once: Once,
    ) -> Result<(Arc<Handle>, bool), CreateError> {
        let keys = Arc::clone(&self.core.keys);
        if keys.sweep_is_due() {
            self.core.tasks.spawn(Arc::clone(&keys).sweep());
        }
        let _held = keys.lock(&once.key).await;
        let now_us = clock::wall_us();
        let (reader, storage, key) =
            (Arc::clone(&keys), self.core.storage.clone(), once.key.clone());
        let known = blocking(move || {
            let Some(entry) = reader.read(&key)?.filter(|entry| !entry.is_old(now_us)) else {
                return Ok(None);
            };
            let there = match storage.spec(entry.id) {
                Ok(_) if entry.accepted => true,
                // Whoever made it may have been killed before it was whole, and before its marker.
                Ok(_) => storage.create_again(entry.id).map(|()| true)?,
                Err(RecordError::Missing { .. }) => false,
                Err(error) => return Err(error),
            };
            Ok(Some((entry, there)))
        });
        let known = known.await.ok_or(CreateError::Closing)??;
        if let Some((entry, there)) = &known {
            if entry.request != once.request {
                return Err(CreateError::KeyReused(entry.id));
            }
            if *there {
                if !entry.accepted {
                    let (writer, key) = (Arc::clone(&keys), once.key.clone());
                    let entry = Entry { accepted: true, ..entry.clone() };
                    let _ = blocking(move || writer.write(&key, &entry, false)).await;
                }
                let handle = self.execution(entry.id).await.map_err(CreateError::from_query)?;
                return Ok((handle, true));
            }
            if entry.accepted {
                return Err(CreateError::KeyOfDeleted(entry.id));
            }
        } else if keys.count.fetch_add(1, Relaxed) >= KEYS_MAX {
            keys.count.fetch_sub(1, Relaxed);
            return Err(CreateError::TooManyKeys);
        }
        let id = prepared.spec.id;
        let Once { key, request } = once;
        let mut entry = Entry { id, request, at_us: now_us, accepted: false };
        let (writer, name, first) = (Arc::clone(&keys), key.clone(), entry.clone());
        let kept = blocking(move || writer.write(&name, &first, true));
        kept.await.ok_or(CreateError::Closing)??;
        let made = self.accept(prepared).await;
        entry.accepted = true;
        let accepted = made.is_ok();
        let writer = Arc::clone(&keys);
        let after = blocking(move || {
            if accepted {
                let _ = writer.write(&key, &entry, false);
            } else {
                writer.remove(&key); // Refused: it may be asked for again.
            }
        });
        let _ = after.await;
        Ok((made?, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_never_a_path() {
        let once = |key: &str| Once::new(key, b"");
        for bad in ["", "a b", "ä", "a\n", &"k".repeat(KEY_BYTES_MAX + 1)] {
            assert!(matches!(once(bad), Err(CreateError::KeyInvalid)), "{bad:?}");
        }
        let key = once("../../etc/passwd").unwrap().key;
        assert_eq!(key.len(), 64);
        assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(once("a").unwrap(), once("b").unwrap());
    }

    #[test]
    fn an_entry_is_old_after_a_day_and_not_when_the_clock_went_back() {
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let entry = Entry { id, request: String::new(), at_us: 1_000, accepted: true };
        let day = KEPT.as_micros() as i64;
        assert!(!entry.is_old(0));
        assert!(!entry.is_old(1_000 + day));
        assert!(entry.is_old(1_001 + day));
    }
}
