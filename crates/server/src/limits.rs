//! How much one token or login may take: requests a second, streams at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::{
    auth::{Caller, Kind},
    config::Limits,
    credential::Digest,
    problem::Problem,
};

/// Callers whose use is remembered; past it, those that have taken nothing lately are forgotten.
const CALLERS_MAX: usize = 4_096;

/// What one caller has taken.
#[derive(Debug)]
struct Taken {
    /// Requests it may make at once now, refilled with time.
    requests: f64,
    at: Instant,
    streams: usize,
}

type Callers = HashMap<Digest, Taken>;

/// Counts what callers take. Those over the Unix socket, and all where nobody has to log in, are
/// not counted.
#[derive(Debug)]
pub(crate) struct Gate {
    requests_per_s: f64,
    streams: usize,
    taken: Arc<Mutex<Callers>>,
}

/// A live stream's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<(Arc<Mutex<Callers>>, Digest)>);

fn lock(taken: &Mutex<Callers>) -> MutexGuard<'_, Callers> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests_per_s: f64::from(limits.requests_per_s),
            streams: limits.streams,
            taken: Arc::default(),
        }
    }

    /// Counts a request of `caller`, made at `now`.
    pub(crate) fn request(&self, caller: &Caller, now: Instant) -> Result<(), Problem> {
        let (Some(digest), true) = (digest(caller), self.requests_per_s > 0.0) else {
            return Ok(());
        };
        let mut taken = lock(&self.taken);
        let caller = self.entry(&mut taken, digest, now);
        let elapsed = now.saturating_duration_since(caller.at).as_secs_f64();
        caller.requests =
            elapsed.mul_add(self.requests_per_s, caller.requests).min(self.requests_per_s);
        caller.at = now;
        if caller.requests < 1.0 {
            let why = format!("more than {} requests a second", self.requests_per_s);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", why));
        }
        caller.requests -= 1.0;
        Ok(())
    }

    /// A place for a live stream of `caller`.
    pub(crate) fn stream(&self, caller: &Caller) -> Result<Place, Problem> {
        let (Some(digest), true) = (digest(caller), self.streams > 0) else {
            return Ok(Place(None));
        };
        let mut taken = lock(&self.taken);
        let caller = self.entry(&mut taken, digest, Instant::now());
        if caller.streams >= self.streams {
            let why = format!("more than {} live streams at once", self.streams);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", why)
                .hint("close some, or subscribe to several executions over one WebSocket"));
        }
        caller.streams += 1;
        Ok(Place(Some((Arc::clone(&self.taken), digest))))
    }

    fn entry<'a>(&self, taken: &'a mut Callers, digest: Digest, now: Instant) -> &'a mut Taken {
        if taken.len() >= CALLERS_MAX && !taken.contains_key(&digest) {
            // After a second everybody may make as many requests as one who is new.
            let idle = Duration::from_secs(1);
            taken.retain(|_, one| one.streams > 0 || now.saturating_duration_since(one.at) < idle);
        }
        taken.entry(digest).or_insert(Taken { requests: self.requests_per_s, at: now, streams: 0 })
    }
}

/// Who is counted: a token or a login.
fn digest(caller: &Caller) -> Option<Digest> {
    match caller.kind {
        Kind::Token(digest) | Kind::Cookie(digest) => Some(digest),
        Kind::Socket | Kind::Off => None,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((taken, digest)) = &self.0
            && let Some(caller) = lock(taken).get_mut(digest)
        {
            caller.streams = caller.streams.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Scope;

    fn caller(kind: Kind) -> Caller {
        Caller { kind, scope: Scope::Viewer }
    }

    #[test]
    fn a_caller_has_so_many_requests_a_second_and_others_are_not_touched() {
        let gate = Gate::new(&Limits { requests_per_s: 5, ..Limits::default() });
        let (one, other) = (caller(Kind::Token([1; 32])), caller(Kind::Cookie([2; 32])));
        let now = Instant::now();
        for _ in 0..5 {
            gate.request(&one, now).unwrap();
        }
        assert_eq!(gate.request(&one, now).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        gate.request(&other, now).unwrap();
        let later = now + Duration::from_millis(200);
        gate.request(&one, later).unwrap();
        assert!(gate.request(&one, later).is_err());
        for _ in 0..100 {
            gate.request(&caller(Kind::Socket), now).unwrap();
            gate.request(&caller(Kind::Off), now).unwrap();
        }
    }

    #[test]
    fn a_stream_gives_its_place_back() {
        let gate = Gate::new(&Limits { streams: 2, ..Limits::default() });
        let one = caller(Kind::Token([1; 32]));
        let (first, _second) = (gate.stream(&one).unwrap(), gate.stream(&one).unwrap());
        assert!(gate.stream(&one).is_err());
        drop(first);
        gate.stream(&one).unwrap();
    }
}
