//! One-time codes: printed at the start, or asked for over the Unix socket.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::credential::{Digest, digest, random_hex};

/// A code is good for this long.
const CODE_US: i64 = 10 * 60 * 1_000_000;
/// Codes that wait to be used; the oldest goes when there is a further one.
const CODES_MAX: usize = 64;
/// Failed logins of one address within [`FAILURES_US`]; then it waits.
const FAILURES_MAX: usize = 5;
const FAILURES_US: i64 = 60 * 1_000_000;
/// Addresses whose failures are remembered.
const ADDRESSES_MAX: usize = 1_024;

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Good,
    Wrong,
    TooMany,
}

#[derive(Debug, Default)]
struct Inner {
    /// Digest and end of each code.
    codes: Vec<(Digest, i64)>,
    failures: HashMap<Option<IpAddr>, Vec<i64>>,
}

#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Inner>);

impl Logins {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new code; `None`: no randomness.
    pub(crate) fn issue(&self, now_us: i64) -> Option<String> {
        let code = random_hex(32)?;
        let mut inner = self.lock();
        inner.codes.retain(|(_, end)| *end > now_us);
        if inner.codes.len() >= CODES_MAX {
            inner.codes.remove(0);
        }
        inner.codes.push((digest(&code), now_us + CODE_US));
        Some(code)
    }

    /// Uses a code up.
    pub(crate) fn redeem(&self, code: &str, from: Option<IpAddr>, now_us: i64) -> Login {
        let mut inner = self.lock();
        let recent = |times: &mut Vec<i64>| times.retain(|at| at + FAILURES_US > now_us);
        if let Some(times) = inner.failures.get_mut(&from) {
            recent(times);
            if times.len() >= FAILURES_MAX {
                return Login::TooMany;
            }
        }
        let wanted = digest(code);
        // Compared as digests: the time it takes tells nothing about the code.
        let known = inner.codes.iter().position(|(known, end)| *known == wanted && *end > now_us);
        if let Some(at) = known {
            inner.codes.remove(at);
            return Login::Good;
        }
        if inner.failures.len() >= ADDRESSES_MAX {
            inner.failures.retain(|_, times| {
                recent(times);
                !times.is_empty()
            });
        }
        if inner.failures.len() < ADDRESSES_MAX {
            inner.failures.entry(from).or_default().push(now_us);
        }
        Login::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let logins = Logins::default();
        let code = logins.issue(0).unwrap();
        assert_eq!(logins.redeem("nope", None, 1), Login::Wrong);
        assert_eq!(logins.redeem(&code, None, CODE_US - 1), Login::Good);
        assert_eq!(logins.redeem(&code, None, CODE_US - 1), Login::Wrong);
        let old = logins.issue(0).unwrap();
        assert_eq!(logins.redeem(&old, None, CODE_US), Login::Wrong);
    }

    #[test]
    fn an_address_that_guesses_has_to_wait_and_others_do_not() {
        let logins = Logins::default();
        let code = logins.issue(0).unwrap();
        let guesser = Some(IpAddr::from([127, 0, 0, 9]));
        for _ in 0..FAILURES_MAX {
            assert_eq!(logins.redeem("guess", guesser, 0), Login::Wrong);
        }
        assert_eq!(logins.redeem(&code, guesser, 1), Login::TooMany);
        assert_eq!(logins.redeem("guess", None, 1), Login::Wrong);
        assert_eq!(logins.redeem(&code, guesser, FAILURES_US), Login::Good);
    }
}
