//! Tokens and sessions: made once, kept as digests, looked up at every request.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use stepflow_catalog::{Change, Session, Token};
use stepflow_engine::{Engine, QueryError};

/// Begins every token.
pub(crate) const TOKEN_PREFIX: &str = "sfm_";
/// Characters of a token that are kept for finding it in lists.
const LOOKUP_CHARS: usize = 12;
/// A session ends after this long without a request, and in any case after [`SESSION_MAX_US`].
pub(crate) const SESSION_IDLE_US: i64 = 12 * 3_600 * 1_000_000;
pub(crate) const SESSION_MAX_US: i64 = 7 * 24 * 3_600 * 1_000_000;
/// A use is noted at most this often.
const NOTE_EVERY_US: i64 = 60 * 1_000_000;
/// Credentials kept in memory; past it they are read from the catalog again.
const KNOWN_MAX: usize = 4_096;

/// SHA-256 of a secret. Secrets have 256 random bits, so nothing slower is needed.
pub(crate) type Digest = [u8; 32];

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Reads.
    Viewer,
    /// Also starts, cancels, and makes tokens.
    Operator,
}

impl Scope {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator].into_iter().find(|scope| scope.as_str() == word)
    }
}

/// 256 random bits, hex. `None`: the kernel has no randomness to give.
pub(crate) fn random_hex(bytes: usize) -> Option<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).ok()?;
    Some(hex(&random))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// A new token and what is kept of it.
pub(crate) fn new_token(
    name: String,
    scope: Scope,
    now_us: i64,
    expires_us: Option<i64>,
) -> Option<(String, Token)> {
    let text = format!("{TOKEN_PREFIX}{}", random_hex(32)?);
    let token = Token {
        id: random_hex(8)?,
        prefix: text[..LOOKUP_CHARS].to_owned(),
        digest: digest(&text),
        name,
        scope: scope.as_str().to_owned(),
        created_us: now_us,
        expires_us,
        last_used_us: None,
        revoked_us: None,
    };
    Some((text, token))
}

/// A new session: the cookie's value and what is kept of it.
pub(crate) fn new_session(now_us: i64) -> Option<(String, Session)> {
    let text = random_hex(32)?;
    let session = Session {
        digest: digest(&text),
        token_id: None,
        scope: Scope::Operator.as_str().to_owned(),
        created_us: now_us,
        last_seen_us: now_us,
        expires_us: now_us + SESSION_MAX_US,
    };
    Some((text, session))
}

/// What a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Token { id: String },
    Session,
}

/// A credential that was good when it was read.
#[derive(Debug)]
struct Known {
    which: Which,
    scope: Scope,
    expires_us: Option<i64>,
    seen_us: AtomicI64,
    noted_us: AtomicI64,
}

/// The credentials that are in use. This process is the only one that writes them, so that what
/// is kept here is never out of date.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    known: Mutex<HashMap<Digest, Arc<Known>>>,
}

impl Keyring {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets credentials of this kind: one was revoked or has been ended.
    pub(crate) fn forget(&self, which: &Which) {
        self.lock().retain(|_, known| known.which != *which);
    }

    /// The scope of a credential, and a change to be written, now and then, that notes its use.
    /// `None`: it is unknown, revoked, expired, or was idle for too long.
    pub(crate) async fn look_up(
        &self,
        engine: &Engine,
        digest: Digest,
        session: bool,
        now_us: i64,
    ) -> Result<Option<(Scope, Which, Option<Change>)>, QueryError> {
        let kept = self.lock().get(&digest).cloned();
        let known = match kept {
            Some(known) => known,
            None => match read(engine, digest, session).await? {
                Some(known) => {
                    let known = Arc::new(known);
                    let mut all = self.lock();
                    if all.len() >= KNOWN_MAX {
                        all.clear();
                    }
                    all.insert(digest, Arc::clone(&known));
                    known
                }
                None => return Ok(None),
            },
        };
        let expired = known.expires_us.is_some_and(|at| at <= now_us);
        let idle = known.which == Which::Session
            && known.seen_us.load(Ordering::Relaxed) + SESSION_IDLE_US <= now_us;
        if expired || idle || session != (known.which == Which::Session) {
            return Ok(None);
        }
        known.seen_us.fetch_max(now_us, Ordering::Relaxed);
        let noted = known.noted_us.load(Ordering::Relaxed);
        let note = (noted + NOTE_EVERY_US <= now_us
            && known
                .noted_us
                .compare_exchange(noted, now_us, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok())
        .then(|| match &known.which {
            Which::Token { id } => Change::TokenUsed { id: id.clone(), at_us: now_us },
            Which::Session => Change::SessionSeen { digest, at_us: now_us },
        });
        Ok(Some((known.scope, known.which.clone(), note)))
    }
}

async fn read(engine: &Engine, digest: Digest, session: bool) -> Result<Option<Known>, QueryError> {
    engine
        .query(move |reader| {
            if session {
                let found = reader.session_by_digest(&digest)?;
                return Ok(found.and_then(|session| {
                    Some(Known {
                        which: Which::Session,
                        scope: Scope::from_word(&session.scope)?,
                        expires_us: Some(session.expires_us),
                        seen_us: AtomicI64::new(session.last_seen_us),
                        noted_us: AtomicI64::new(session.last_seen_us),
                    })
                }));
            }
            let found = reader.token_by_digest(&digest)?;
            Ok(found.filter(|token| token.revoked_us.is_none()).and_then(|token| {
                Some(Known {
                    which: Which::Token { id: token.id },
                    scope: Scope::from_word(&token.scope)?,
                    expires_us: token.expires_us,
                    seen_us: AtomicI64::new(0),
                    noted_us: AtomicI64::new(token.last_used_us.unwrap_or(0)),
                })
            }))
        })
        .await
}
