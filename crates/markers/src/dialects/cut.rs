//! A stream to its lines, whatever its split into reads.

use crate::LINE_BYTES_MAX;

/// Takes a line without its line feed (`None`: it is too long), and where it begins and ends.
pub(crate) type OnLine<'a> = &'a mut dyn FnMut(Option<&[u8]>, u64, u64);

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// The line that has begun and not ended; empty once it is too long.
    open: Vec<u8>,
    start: u64,
    end: u64,
    state: Open,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    No,
    Yes,
    TooLong,
}

impl Cutter {
    pub(crate) fn push(&mut self, bytes: &[u8], offset: u64, on_line: OnLine<'_>) {
        let mut from = 0;
        if self.state != Open::No {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return self.keep(bytes, offset);
            };
            self.keep(&bytes[..end], offset);
            self.end = offset + end as u64 + 1;
            self.finish(on_line);
            from = end + 1;
        }
        while let Some(length) = memchr::memchr(b'\n', &bytes[from..]) {
            let feed = from + length;
            on_line(Some(&bytes[from..feed]), offset + from as u64, offset + feed as u64 + 1);
            from = feed + 1;
        }
        self.keep(&bytes[from..], offset + from as u64);
    }

    /// The stream has ended: its last half line counts as whole.
    pub(crate) fn finish(&mut self, on_line: OnLine<'_>) {
        match std::mem::take(&mut self.state) {
            Open::No => return,
            Open::Yes => on_line(Some(&self.open), self.start, self.end),
            Open::TooLong => on_line(None, self.start, self.end),
        }
        self.open.clear();
    }

    fn keep(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.state == Open::No {
            self.state = Open::Yes;
            self.start = offset;
        }
        self.end = offset + bytes.len() as u64;
        if self.state == Open::Yes {
            if self.open.len() + bytes.len() > LINE_BYTES_MAX {
                self.state = Open::TooLong;
                self.open = Vec::new();
            } else {
                self.open.extend_from_slice(bytes);
            }
        }
    }
}
