//! Secrets that a script declares, found before anything behind the declaration is recorded.
//!
//! `::add-mask::VALUE` and `##vso[task.setsecret]VALUE` name a secret in the very line that must not
//! show it. So this stands where output is not recorded yet: it lets everything through at once, but
//! for the rest of a line from such a command on, until the line is whole and says what is secret.
//!
//! What it takes for a declaration errs on the side of hiding: it does not know quotations, and takes
//! Azure's commands for known to be in use.

use super::{Line, Place, Selection, Stream, azure, github, line};
use crate::LINE_BYTES_MAX;

/// Beginnings of declarations, in any case, and whether only blanks may stand before.
const HEADS: [(&[u8], bool, Who); 3] = [
    (b"::add-mask", true, Who::GitHub),
    (b"##[add-mask", true, Who::GitHub),
    (b"##vso[task.set", false, Who::Azure),
];
const HEAD_BYTES_MAX: usize = 14;
/// More than this is not looked at to find that there are only blanks before a declaration.
const LOOK_BACK_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    GitHub,
    Azure,
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The stream's next bytes.
    Bytes(&'a [u8]),
    /// From here on this is a secret.
    Secret(&'a str),
}

/// Stands between reading and recording.
#[derive(Debug, Default)]
pub struct Gate {
    github: bool,
    azure: bool,
    /// GitHub's commands are stopped until this word, and all others with them.
    stopped: Option<String>,
    lines: [Open; 2],
}

/// The line of a stream that has begun and not ended.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// So many of them were let through.
    passed: usize,
    /// The rest waits for the line's end.
    holds: bool,
    /// It is too long to be a marker: nothing of it is kept or held.
    too_long: bool,
}

impl Gate {
    /// For the dialects that `selection` names.
    pub fn new(selection: &Selection) -> Self {
        let (github, azure) = (selection.has("github"), selection.has("azure"));
        Self { github, azure, ..Self::default() }
    }

    /// Whether nobody declares secrets: everything goes through as it comes.
    pub fn is_idle(&self) -> bool {
        !self.github && !self.azure
    }

    /// Bytes that are held back now.
    pub fn held(&self) -> usize {
        self.lines.iter().map(|open| open.bytes.len() - open.passed).sum()
    }

    /// Forgets what is held back: it will come again. `begun`: what is recorded already of the line
    /// that it belongs to.
    pub fn forget(&mut self, begun: &[u8]) {
        self.lines = [Open::default(), Open::default()];
        if !self.is_idle() {
            self.grow(0, begun, &mut |_| {});
            self.lines[0].passed = self.lines[0].bytes.len();
        }
    }

    /// Takes a stream's next bytes.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        if self.is_idle() {
            return out(Piece::Bytes(bytes));
        }
        let slot = usize::from(stream == Stream::Stderr);
        // What nothing is held of comes out in one piece, however many lines it has: each piece is
        // written and indexed by itself.
        let (mut done, mut from) = (0, 0);
        if self.lines[slot].has_begun() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                let passed = self.grow(slot, bytes, out);
                return let_out(&bytes[..passed], out);
            };
            let passed = self.grow(slot, &bytes[..end], out);
            if self.lines[slot].holds {
                let_out(&bytes[..passed], out);
                done = end;
            }
            self.close(slot, out);
            // The line feed goes with what follows.
            from = end;
        }
        let whole = memchr::memrchr(b'\n', &bytes[from..]).map_or(from, |at| from + at + 1);
        done = self.whole_lines(&bytes[..whole], from, done, out);
        let passed = self.grow(slot, &bytes[whole..], out);
        let_out(&bytes[done..whole + passed], out);
    }

    /// A stream has ended: its last half line counts as whole.
    pub fn finish(&mut self, stream: Stream, out: &mut dyn FnMut(Piece<'_>)) {
        if !self.is_idle() {
            self.close(usize::from(stream == Stream::Stderr), out);
        }
    }

    /// Looks for secrets in whole lines, from `from` on, and lets out what stands before each, from
    /// `done` on. Returns how far that went: the rest is the caller's to let out.
    fn whole_lines(
        &mut self,
        bytes: &[u8],
        from: usize,
        mut done: usize,
        out: &mut dyn FnMut(Piece<'_>),
    ) -> usize {
        let mut at = from;
        let mut hits = Hits::default();
        while let Some(hit) = hits.next(bytes, at) {
            let start = memchr::memrchr(b'\n', &bytes[..hit]).map_or(0, |lf| lf + 1);
            if bytes[hit] == b':' && !has_blanks_before(&bytes[start..], hit - start) {
                at = hit + 2;
                continue;
            }
            let end = memchr::memchr(b'\n', &bytes[hit..]).map_or(bytes.len(), |lf| hit + lf);
            let line = &bytes[start..end];
            at = end;
            let secrets = self.secrets_of(line);
            let Some(head) = self.head_end(line, 0).filter(|_| !secrets.is_empty()) else {
                continue;
            };
            let_out(&bytes[done..start + head], out);
            for secret in &secrets {
                out(Piece::Secret(secret));
            }
            done = start + head;
        }
        done
    }

    /// Takes more of a line whose end is not there yet. Returns how many of `bytes` the caller is to let
    /// out, the others being held; lets out itself what was held before and need not be any more.
    fn grow(&mut self, slot: usize, bytes: &[u8], out: &mut dyn FnMut(Piece<'_>)) -> usize {
        let open = &mut self.lines[slot];
        if open.too_long || bytes.is_empty() {
            return bytes.len();
        }
        if open.bytes.len() + bytes.len() > LINE_BYTES_MAX {
            let_out(&open.bytes[open.passed..], out);
            *open = Open { too_long: true, ..Open::default() };
            return bytes.len();
        }
        let before = open.bytes.len();
        open.bytes.extend_from_slice(bytes);
        if open.holds {
            return 0;
        }
        let open = &self.lines[slot];
        let head = self.head_end(&open.bytes, before.saturating_sub(HEAD_BYTES_MAX));
        let open = &mut self.lines[slot];
        open.holds = head.is_some();
        open.passed = head.map_or(open.bytes.len(), |head| head.max(before));
        open.passed - before
    }

    fn close(&mut self, slot: usize, out: &mut dyn FnMut(Piece<'_>)) {
        let open = std::mem::take(&mut self.lines[slot]);
        let secrets = self.secrets_of(&open.bytes);
        if open.holds {
            for secret in &secrets {
                out(Piece::Secret(secret));
            }
        }
        let_out(&open.bytes[open.passed..], out);
    }

    /// Where the first beginning of a declaration ends that begins at `from` or later.
    fn head_end(&self, line: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(next) = memchr::memchr2(b':', b'#', &line[at..]) {
            at += next;
            for (head, needs_blanks, who) in HEADS {
                let is_on = if who == Who::GitHub { self.github } else { self.azure };
                let text = line.get(at..at + head.len());
                if is_on
                    && text.is_some_and(|text| text.eq_ignore_ascii_case(head))
                    && (!needs_blanks || has_blanks_before(line, at))
                {
                    return Some(at + head.len());
                }
            }
            at += 1;
        }
        None
    }

    /// What a whole line declares; also takes note of commands that stop others.
    fn secrets_of(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut secrets = Vec::new();
        if bytes.len() > LINE_BYTES_MAX || memchr::memchr2(b':', b'#', bytes).is_none() {
            return secrets;
        }
        let line = Line::new(bytes, Place::default());
        if self.github && github::declared(line.trimmed(), &mut self.stopped, &mut secrets) {
            return secrets;
        }
        if self.azure && self.stopped.is_none() {
            azure::declared(line.visible(), &mut secrets);
        }
        secrets
    }
}

impl Open {
    fn has_begun(&self) -> bool {
        self.too_long || !self.bytes.is_empty()
    }
}

fn let_out(bytes: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        out(Piece::Bytes(bytes));
    }
}

/// Whether a terminal shows only blanks of the line before `at`, from its last carriage return on.
fn has_blanks_before(line: &[u8], at: usize) -> bool {
    let from = memchr::memrchr(b'\r', &line[..at]).map_or(0, |cr| cr + 1);
    if at - from > LOOK_BACK_BYTES {
        return false;
    }
    let before = &line[from..at];
    before.iter().all(|byte| *byte == b' ')
        || (before.first().is_some_and(|first| !first.is_ascii_alphanumeric())
            && line::plain(&String::from_utf8_lossy(before)).trim().is_empty())
}

/// Places of `::` and `##`, in order.
#[derive(Debug, Default)]
struct Hits {
    colons: Next,
    hashes: Next,
}

/// The next place of one of them.
#[derive(Debug, Default, Clone, Copy)]
enum Next {
    #[default]
    Unknown,
    At(usize),
    None,
}

impl Hits {
    fn next(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let colons = self.colons.find(bytes, from, b"::");
        let hashes = self.hashes.find(bytes, from, b"##");
        [colons, hashes].into_iter().flatten().min()
    }
}

impl Next {
    fn find(&mut self, bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
        match *self {
            Self::None => return None,
            Self::At(at) if at >= from => return Some(at),
            Self::Unknown | Self::At(_) => {}
        }
        let found = bytes.get(from..).and_then(|rest| memchr::memmem::find(rest, what));
        *self = found.map_or(Self::None, |at| Self::At(from + at));
        found.map(|at| from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, with `<…>` for secrets.
    fn run(pieces: &[&[u8]], list: &str) -> String {
        let mut gate = Gate::new(&Selection::parse(list).unwrap());
        let mut shown = String::new();
        let mut say = |piece: Piece<'_>| match piece {
            Piece::Bytes(bytes) => shown.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Secret(secret) => shown.push_str(&format!("<{secret}>")),
        };
        for piece in pieces {
            gate.push(Stream::Merged, piece, &mut say);
        }
        gate.finish(Stream::Merged, &mut say);
        assert_eq!(gate.held(), 0);
        shown
    }

    const CASES: &[(&str, &str)] = &[
        ("a\n::add-mask::hunter2\nb\n", "a\n::add-mask<hunter2>::hunter2\nb\n"),
        (" \x1b[1m::Add-Mask x=y::a%25b\n", " \x1b[1m::Add-Mask<a%b><a%25b> x=y::a%25b\n"),
        ("##[add-mask]hunter2", "##[add-mask<hunter2>]hunter2"),
        ("50%\r::add-mask::x\r\n", "50%\r::add-mask<x>::x\r\n"),
        ("x ::add-mask::no\n", "x ::add-mask::no\n"),
        ("::add-mask::no\rlater\n", "::add-mask::no\rlater\n"),
        ("::add-masking::no\n::add-mask\n", "::add-masking::no\n::add-mask\n"),
        ("::group::a\n::error::b\n", "::group::a\n::error::b\n"),
        ("##vso[task.setsecret]hunter2\n", "##vso[task.set<hunter2>secret]hunter2\n"),
        (
            "E.##vso[task.setvariable variable=k;isSecret=true]hunter2\n",
            "E.##vso[task.set<hunter2>variable variable=k;isSecret=true]hunter2\n",
        ),
        ("##vso[task.setvariable variable=k]plain\n", "##vso[task.setvariable variable=k]plain\n"),
        ("echo '##vso[task.setsecret]no'\n", "echo '##vso[task.setsecret]no'\n"),
        ("##vso[task.setprogress value=3]x\n", "##vso[task.setprogress value=3]x\n"),
        (
            "::stop-commands::tok\n::add-mask::no\n##vso[task.setsecret]no\n::TOK::\n::add-mask::yes\n",
            "::stop-commands::tok\n::add-mask::no\n##vso[task.setsecret]no\n::TOK::\n::add-mask<yes>::yes\n",
        ),
        ("a::b::c ::d\nstd::mask::x ##vso\n", "a::b::c ::d\nstd::mask::x ##vso\n"),
    ];

    #[test]
    fn a_declaration_comes_before_what_it_hides_whatever_the_split() {
        for (input, expected) in CASES {
            assert_eq!(run(&[input.as_bytes()], "auto"), *expected);
            for size in 1..input.len() {
                let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
                assert_eq!(run(&pieces, "auto"), *expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_nothing_is_held_of_comes_out_as_it_came_in() {
        let mut gate = Gate::new(&Selection::auto());
        for read in [&b"a\nb::c\nhalf "[..], b"of it", b"\n", b"::group::x\nc\n##", b"[x\nhalf"] {
            let mut pieces = 0;
            gate.push(Stream::Merged, read, &mut |piece| {
                assert_eq!(piece, Piece::Bytes(read));
                pieces += 1;
            });
            assert_eq!(pieces, 1, "each is a write of its own");
        }
    }

    #[test]
    fn dialects_that_are_off_declare_nothing() {
        for list in ["none", "native", "gitlab", "auto,-github"] {
            assert_eq!(run(&[b"::add-mask::x\n"], list), "::add-mask::x\n");
        }
        assert_eq!(run(&[b"##vso[task.setsecret]x\n"], "github"), "##vso[task.setsecret]x\n");
    }

    #[test]
    fn nothing_is_held_that_says_nothing_secret() {
        let mut gate = Gate::new(&Selection::auto());
        for text in [":", "\x1b[7m:", "Password:", " ##", "##vso[task.log", "::add-mas"] {
            gate.push(Stream::Merged, text.as_bytes(), &mut |_| {});
            assert_eq!(gate.held(), 0, "{text}");
            gate.push(Stream::Merged, b"\n", &mut |_| {});
        }
        gate.push(Stream::Merged, b"::add-mask::hunt", &mut |_| {});
        assert_eq!(gate.held(), 6);
        gate.push(Stream::Stderr, b"other\n", &mut |piece| {
            assert_eq!(piece, Piece::Bytes(b"other\n"));
        });
        gate.push(Stream::Merged, &vec![b'x'; LINE_BYTES_MAX], &mut |_| {});
        assert_eq!(gate.held(), 0, "too long to be a marker");
    }
}
