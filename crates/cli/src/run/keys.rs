//! Which keys mean "leave", found in what is typed.

use std::str::FromStr;

/// A sequence of keys that is not typed into the script: it detaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

/// Longest sequence: what is longer nobody types.
const KEYS_MAX: usize = 16;

impl std::fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            match byte {
                0..=0x1f => write!(f, "{gap}Ctrl-{}", char::from(byte | 0x40))?,
                _ => write!(f, "{gap}{}", char::from(*byte))?,
            }
        }
        Ok(())
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    /// `ctrl-p,ctrl-q`, `ctrl-]`, `~,.`.
    fn from_str(text: &str) -> Result<Self, String> {
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        keys.filter(|keys| keys.len() <= KEYS_MAX).map(Self).ok_or_else(|| {
            format!("`{text}` is no sequence of keys: try ctrl-p,ctrl-q or ctrl-] or ~,.")
        })
    }
}

fn key(text: &str) -> Option<u8> {
    let one = |text: &str| match text.as_bytes() {
        [byte @ 0x20..=0x7e] => Some(*byte),
        _ => None,
    };
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("ctrl-").or_else(|| lower.strip_prefix('^')) {
        Some(letter) => match one(letter)? {
            byte @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_') => Some(byte & 0x1f),
            _ => None,
        },
        None => one(text),
    }
}

/// What is typed, with the detach keys taken out.
#[derive(Debug)]
pub struct KeyFilter {
    keys: Vec<u8>,
    /// Typed, and the beginning of the keys.
    held: Vec<u8>,
}

impl KeyFilter {
    /// Without `keys`, everything passes.
    pub fn new(keys: Option<&DetachKeys>) -> Self {
        Self { keys: keys.map(|keys| keys.0.clone()).unwrap_or_default(), held: Vec::new() }
    }

    /// Takes what was typed; appends what is for the script. `true`: the keys were among it.
    pub fn take(&mut self, typed: &[u8], script: &mut impl Extend<u8>) -> bool {
        for byte in typed {
            self.held.push(*byte);
            while !self.keys.starts_with(&self.held) {
                script.extend([self.held.remove(0)]);
            }
            if !self.keys.is_empty() && self.held == self.keys {
                self.held.clear();
                return true;
            }
        }
        false
    }

    /// Nothing more is typed: what was held back is for the script.
    pub fn finish(&mut self, script: &mut impl Extend<u8>) {
        script.extend(self.held.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_people_name_them() {
        for (text, keys) in [
            ("ctrl-p,ctrl-q", Some(vec![16, 17])),
            ("Ctrl-P,^Q", Some(vec![16, 17])),
            ("ctrl-]", Some(vec![29])),
            ("~,.", Some(vec![b'~', b'.'])),
            ("a,A", Some(vec![b'a', b'A'])),
            ("ctrl-@", Some(vec![0])),
            ("", None),
            ("ctrl-", None),
            ("ctrl-1", None),
            ("ab", None),
            ("é", None),
            ("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", None),
        ] {
            assert_eq!(text.parse::<DetachKeys>().ok(), keys.map(DetachKeys), "{text}");
        }
    }

    #[test]
    fn only_the_whole_sequence_is_taken_out() {
        let keys: DetachKeys = "a,a,b".parse().unwrap();
        for (typed, passed, detached) in [
            ("xyz", "xyz", false),
            ("aab", "", true),
            ("xaab", "x", true),
            ("aaab", "a", true),
            ("aaxaab", "aax", true),
            ("aa", "", false),
            ("ax", "ax", false),
        ] {
            for at in 0..=typed.len() {
                let mut filter = KeyFilter::new(Some(&keys));
                let mut script = Vec::new();
                let (first, second) = typed.as_bytes().split_at(at);
                let found = filter.take(first, &mut script) || filter.take(second, &mut script);
                assert_eq!((script.as_slice(), found), (passed.as_bytes(), detached), "{typed}");
            }
        }
        let mut filter = KeyFilter::new(Some(&keys));
        let mut script = Vec::new();
        assert!(!filter.take(b"xaa", &mut script));
        filter.finish(&mut script);
        assert_eq!(script, b"xaa");
        let mut filter = KeyFilter::new(None);
        assert!(!filter.take(b"aab", &mut script));
        assert_eq!(script, b"xaaaab");
    }
}
