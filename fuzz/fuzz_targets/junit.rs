//! Any bytes as a file of test results: no panic, little of each text is kept, and what is given does
//! not depend on how the file is read.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use stepflow_markers::junit::{self, Case, DETAILS_BYTES_MAX, MESSAGE_BYTES_MAX};

// The first byte says how many bytes each read brings.
fuzz_target!(|data: &[u8]| {
    let [size, file @ ..] = data else { return };
    let whole = run(file);
    for case in &whole.0 {
        assert!(case.message.as_ref().is_none_or(|text| text.len() <= MESSAGE_BYTES_MAX));
        assert!(case.details.as_ref().is_none_or(|text| text.len() <= DETAILS_BYTES_MAX));
    }
    assert_eq!(run(Pieces(file, usize::from(*size).max(1))), whole);
});

fn run(source: impl Read) -> (Vec<Case>, Result<usize, String>) {
    let mut cases = Vec::new();
    let parsed = junit::parse(source, &mut |case| cases.push(case));
    (cases, parsed.map_err(|error| error.to_string()))
}

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(buffer.len()).min(self.0.len());
        buffer[..size].copy_from_slice(&self.0[..size]);
        self.0 = &self.0[size..];
        Ok(size)
    }
}
