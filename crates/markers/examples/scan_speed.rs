//! How fast ordinary output is scanned: `cargo run --profile ci -p stepflow-markers --example
//! scan_speed`.

use std::time::Instant;

use stepflow_markers::Scanner;

fn main() {
    let lines = [
        (
            "no colon",
            "the quick brown fox jumps over the lazy dog and runs away from the wolf 1234567",
        ),
        (
            "colons",
            "12:00:01 INFO app: the quick brown fox: jumps over the lazy dog: and runs 12:00",
        ),
        (
            "colons behind a marker's last letter",
            "error: the quick brown date: jumps over the lazy data: and runs away from: 1234",
        ),
    ];
    for (what, line) in lines {
        let block = format!("{line}\n").repeat(128 * 1024 / (line.len() + 1));
        let mut scanner = Scanner::new();
        let mut markers = 0;
        let begun = Instant::now();
        let mut offset = 0;
        while offset < 1 << 30 {
            scanner.push(block.as_bytes(), offset, &mut |_| markers += 1);
            offset += block.len() as u64;
        }
        let rate = offset as f64 / begun.elapsed().as_secs_f64() / 1e9;
        #[expect(clippy::print_stdout, reason = "it reports to a person")]
        {
            println!("{what}: {rate:.1} GB/s, {markers} markers");
        }
    }
}
