//! Finds every occurrence of many patterns in one pass over a stream, whatever the split into reads.
//!
//! The automaton of Aho and Corasick, because its time does not depend on what the patterns and the
//! text look like: text made of beginnings of a secret costs no more than any other. Before it stands
//! a table of shifts after Wu and Manber, because nearly all text begins no pattern: it looks at
//! three bytes and goes on by up to four.
//!
//! At any moment it knows exactly which of the last bytes may still become a pattern: no byte more
//! has to be held back.

use std::ops::Range;

/// No pattern is shorter, in bytes: what the shifts rest on.
pub(super) const PATTERN_BYTES_MIN: usize = 6;
/// Bytes that are looked at together.
const BLOCK: usize = 3;
const SHIFT_MAX: u8 = (PATTERN_BYTES_MIN - BLOCK + 1) as u8;
const SHIFT_BITS: u32 = 14;

/// It has a child, which is the next node.
const CHILD: u8 = 1;
/// It has more children, in `more`.
const MORE: u8 = 2;
/// A pattern ends here.
const WHOLE: u8 = 4;
/// None does, but its text ends with one: its length is in `shorter`.
const SHORTER: u8 = 8;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// The patterns as a tree in depth-first order: a node's first child is the next node.
pub(super) struct Automaton {
    /// The byte that leads to the node.
    bytes: Vec<u8>,
    flags: Vec<u8>,
    /// Bytes from the root.
    depth: Vec<u32>,
    /// The node of the longest proper end of this node's text that begins a pattern.
    fail: Vec<u32>,
    /// Children after the first: parent, byte, child; sorted.
    more: Vec<(u32, u8, u32)>,
    /// Nodes whose text ends with a pattern that is shorter, and the length of the longest; sorted.
    shorter: Vec<(u32, u32)>,
    /// The root's children.
    first: Box<[u32; 256]>,
    /// How far to go on from where three bytes, hashed, end a window of six.
    shifts: Box<[u8]>,
    longest: usize,
}

/// Where a scan stands: in text that has ended, what is left of it that may begin a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Automaton {
    /// For patterns of at least [`PATTERN_BYTES_MIN`] bytes; sorts them.
    pub(super) fn new(mut patterns: Vec<Vec<u8>>) -> Self {
        debug_assert!(patterns.iter().all(|pattern| pattern.len() >= PATTERN_BYTES_MIN));
        patterns.sort_unstable();
        patterns.dedup();
        let nodes = count_nodes(&patterns);
        let mut new = Self {
            bytes: Vec::with_capacity(nodes),
            flags: Vec::with_capacity(nodes),
            depth: Vec::with_capacity(nodes),
            fail: Vec::new(),
            more: Vec::new(),
            shorter: Vec::new(),
            first: Box::new([NONE; 256]),
            shifts: vec![SHIFT_MAX; 1 << SHIFT_BITS].into_boxed_slice(),
            longest: patterns.iter().map(Vec::len).max().unwrap_or(0),
        };
        let parents = new.grow(&patterns);
        new.more.sort_unstable();
        new.link(&parents);
        for pattern in &patterns {
            for at in 0..SHIFT_MAX {
                let block = hash(&pattern[usize::from(at)..]);
                let shift = &mut new.shifts[block];
                *shift = (*shift).min(SHIFT_MAX - 1 - at);
            }
        }
        new
    }

    /// Nodes, which is what its memory goes by.
    pub(super) fn nodes(&self) -> usize {
        self.bytes.len()
    }

    /// The longest pattern, in bytes: no more is ever undecided.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Makes the tree. Returns each node's parent.
    fn grow(&mut self, patterns: &[Vec<u8>]) -> Vec<u32> {
        let mut parents = Vec::with_capacity(self.bytes.capacity());
        self.add_node(0, 0);
        parents.push(ROOT);
        let mut path: Vec<u32> = vec![ROOT];
        let mut last: &[u8] = &[];
        for pattern in patterns {
            path.truncate(common(last, pattern) + 1);
            for byte in &pattern[path.len() - 1..] {
                let parent = path[path.len() - 1];
                let node = self.bytes.len() as u32;
                let flags = &mut self.flags[parent as usize];
                if parent == ROOT {
                    self.first[usize::from(*byte)] = node;
                } else if *flags & CHILD == 0 {
                    *flags |= CHILD;
                } else {
                    *flags |= MORE;
                    self.more.push((parent, *byte, node));
                }
                self.add_node(*byte, path.len() as u32);
                parents.push(parent);
                path.push(node);
            }
            self.flags[path[path.len() - 1] as usize] |= WHOLE;
            last = pattern;
        }
        parents
    }

    fn add_node(&mut self, byte: u8, depth: u32) {
        self.bytes.push(byte);
        self.flags.push(0);
        self.depth.push(depth);
    }

    /// Where each node leads when no child fits; shallow nodes first.
    fn link(&mut self, parents: &[u32]) {
        let mut order: Vec<u32> = (1..self.bytes.len() as u32).collect();
        order.sort_by_key(|node| self.depth[*node as usize]);
        self.fail = vec![ROOT; self.bytes.len()];
        let mut ends = vec![0; self.bytes.len()];
        for node in order {
            let (parent, byte) = (parents[node as usize], self.bytes[node as usize]);
            if parent != ROOT {
                self.fail[node as usize] = self.step(self.fail[parent as usize], byte);
            }
            let shorter = ends[self.fail[node as usize] as usize];
            ends[node as usize] = shorter;
            let flags = &mut self.flags[node as usize];
            if *flags & WHOLE != 0 {
                ends[node as usize] = self.depth[node as usize];
            } else if shorter > 0 {
                *flags |= SHORTER;
                self.shorter.push((node, shorter));
            }
        }
        self.shorter.sort_unstable();
    }

    /// The length of the longest pattern that ends with the text of `node`; 0: none.
    #[inline]
    fn longest_end(&self, node: u32) -> u32 {
        let flags = self.flags[node as usize];
        if flags & WHOLE != 0 {
            return self.depth[node as usize];
        }
        if flags & SHORTER == 0 {
            return 0;
        }
        let known = self.shorter.binary_search_by_key(&node, |(node, _)| *node);
        known.map_or(0, |at| self.shorter[at].1)
    }

    #[inline]
    fn child(&self, node: u32, byte: u8) -> u32 {
        if node == ROOT {
            return self.first[usize::from(byte)];
        }
        let flags = self.flags[node as usize];
        if flags & CHILD != 0 && self.bytes[node as usize + 1] == byte {
            return node + 1;
        }
        if flags & MORE != 0
            && let Ok(at) = self.more.binary_search_by_key(&(node, byte), |(n, b, _)| (*n, *b))
        {
            return self.more[at].2;
        }
        NONE
    }

    /// The node after `byte`.
    #[inline]
    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            let child = self.child(node, byte);
            if child != NONE {
                return child;
            }
            if node == ROOT {
                return ROOT;
            }
            node = self.fail[node as usize];
        }
    }

    /// Where text stands that has ended in `node`: a pattern that no longer one begins with is
    /// decided.
    fn place(&self, mut node: u32) -> Place {
        while node != ROOT && self.flags[node as usize] & CHILD == 0 {
            node = self.fail[node as usize];
        }
        Place(node)
    }

    /// How many of the last bytes before `place` may still become a pattern.
    pub(super) fn undecided(&self, place: Place) -> usize {
        self.depth[place.0 as usize] as usize
    }

    /// Goes on from `at`, where `place` was left, to the end of `text`, which holds all that is
    /// undecided; tells of each pattern where the longest one with its end lies.
    pub(super) fn scan(
        &self,
        place: Place,
        text: &[u8],
        at: usize,
        found: &mut impl FnMut(Range<usize>),
    ) -> Place {
        let mut node = place.0;
        let mut at = at;
        loop {
            // What is not six bytes deep can be left to the table, from where it begins.
            let deep = self.depth[node as usize] as usize;
            if deep < PATTERN_BYTES_MIN {
                at -= deep;
                match self.next_beginning(text, at) {
                    Ok((begun, start)) => (node, at) = (begun, start + PATTERN_BYTES_MIN),
                    Err(rest) => {
                        return Place(
                            text[rest..].iter().fold(ROOT, |node, b| self.step(node, *b)),
                        );
                    }
                }
                // A pattern of just six bytes.
                self.tell(node, at, found);
            }
            loop {
                let Some(byte) = text.get(at) else { return self.place(node) };
                node = self.step(node, *byte);
                at += 1;
                if (self.depth[node as usize] as usize) < PATTERN_BYTES_MIN {
                    break;
                }
                self.tell(node, at, found);
            }
        }
    }

    #[inline]
    fn tell(&self, node: u32, at: usize, found: &mut impl FnMut(Range<usize>)) {
        if self.flags[node as usize] & (WHOLE | SHORTER) != 0 {
            found(at - self.longest_end(node) as usize..at);
        }
    }

    /// The next place from `at` on where the first six bytes of a pattern stand, with their node;
    /// or where fewer than six bytes are left.
    #[inline]
    fn next_beginning(&self, text: &[u8], mut at: usize) -> Result<(u32, usize), usize> {
        while let Some(window) = text.get(at..at + PATTERN_BYTES_MIN) {
            let shift = self.shifts[hash(&window[PATTERN_BYTES_MIN - BLOCK..])];
            if shift > 0 {
                at += usize::from(shift);
                continue;
            }
            let mut node = ROOT;
            for byte in window {
                node = self.child(node, *byte);
                if node == NONE {
                    break;
                }
            }
            if node != NONE {
                return Ok((node, at));
            }
            at += 1;
        }
        Err(at.min(text.len()))
    }
}

#[inline]
fn hash(block: &[u8]) -> usize {
    let three = u32::from_le_bytes([block[0], block[1], block[2], 0]);
    (three.wrapping_mul(0x9E37_79B1) >> (32 - SHIFT_BITS)) as usize
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Nodes of an automaton for these patterns, which are sorted.
pub(super) fn count_nodes(sorted: &[Vec<u8>]) -> usize {
    let mut last: &[u8] = &[];
    let mut nodes = 1;
    for pattern in sorted {
        nodes += pattern.len() - common(last, pattern);
        last = pattern;
    }
    nodes
}
