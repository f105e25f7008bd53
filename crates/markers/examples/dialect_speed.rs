//! How fast ordinary output passes the dialects: `cargo run --profile ci -p stepflow-markers
//! --example dialect_speed`.

use std::time::Instant;

use stepflow_markers::{
    Scanner,
    dialects::{Dialects, Selection, Stream},
};

const ROUNDS: usize = 300;

fn main() {
    let lines = [
        (
            "prose",
            "the quick brown fox jumps over the lazy dog and runs away from the wolf 1234567",
        ),
        ("log", "12:00:01 INFO app: the quick brown fox: jumps over the lazy dog: and runs 12:00"),
        (
            "words",
            "error: the quick brown date: jumps over the lazy data: and runs away from: 1234",
        ),
        (
            "indented",
            "        the quick brown fox jumps over the lazy dog and runs away [from] #1 | 23",
        ),
        (
            "o, n, 1",
            "on the quick brown fox jumps over the lazy dog and runs away from the wolf 123.",
        ),
        (
            "colour",
            "\x1b[32mthe quick\x1b[0m brown fox jumps over the lazy dog and runs away from the",
        ),
    ];
    for (what, line) in lines {
        let block = format!("{line}\n").repeat(128 * 1024 / (line.len() + 1));
        let blocks = (1_usize << 21) / block.len();
        let count = blocks * (block.len() / (line.len() + 1));
        let mut times = Vec::new();
        for how in [
            "own scanner",
            "native",
            "auto,-eslint,-flake8,-go-vet,-javac,-mypy,-python,-ruff,-shellcheck,-tsc",
            "auto",
        ] {
            let mut found = 0;
            let mut best = f64::INFINITY;
            // The best of several rounds: others use the machine as well.
            for _ in 0..ROUNDS {
                found = 0;
                let begun = Instant::now();
                if how == "own scanner" {
                    let mut scanner = Scanner::new();
                    for number in 0..blocks {
                        let at = (number * block.len()) as u64;
                        scanner.push(block.as_bytes(), at, &mut |_| found += 1);
                    }
                } else {
                    let mut dialects = Dialects::new(&Selection::parse(how).unwrap_or_default());
                    for number in 0..blocks {
                        let at = (number * block.len()) as u64;
                        dialects.push(Stream::Merged, block.as_bytes(), at, &mut |_| found += 1);
                    }
                }
                best = best.min(begun.elapsed().as_nanos() as f64 / count as f64);
            }
            times.push(format!("{how} {best:.1} ns a line ({found} events)"));
        }
        #[expect(clippy::print_stdout, reason = "it reports to a person")]
        {
            println!("{what}: {}", times.join(", "));
        }
    }
}
