//! How fast masking is, and what memory it takes: `cargo run --profile ci --example mask_speed [MIB]`.
//!
//! The text is a build's log, again and again, with a secret in each 64 KiB; reads are of 128 KiB, as
//! the recorder's. Speed is by processor time, so that what else the machine does counts little.

use std::{env, fmt::Write as _, fs, hint::black_box, process::Command};

use stepflow_recorder::mask::Masker;

const READ: usize = 128 * 1024;
/// Secrets and the bytes of each.
const CASES: [(usize, usize); 7] =
    [(0, 0), (1, 40), (10, 40), (10, 200), (1, 3_200), (100, 40), (300, 40)];

fn main() {
    let args: Vec<usize> = env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if let [mib, count, length] = args[..] {
        return measure(mib, count, length);
    }
    let mib = args.first().copied().unwrap_or(1024).to_string();
    println!("{mib} MiB in reads of {} KiB", READ / 1024);
    // A process for each: memory that one has given back is not the next one's.
    for (count, length) in CASES {
        let args = [mib.clone(), count.to_string(), length.to_string()];
        let exe = env::current_exe().expect("it runs");
        Command::new(exe).args(args).status().expect("it can run again");
    }
}

fn measure(mib: usize, count: usize, length: usize) {
    let secrets: Vec<Vec<u8>> = (0..count).map(|number| secret(number, length)).collect();
    let mut text = log();
    for (at, secret) in (0..text.len() - length).step_by(64 * 1024).zip(secrets.iter().cycle()) {
        text[at..at + length].copy_from_slice(secret);
    }
    let before = resident_kib();
    let begun = processor_ms();
    let mut masker = Masker::new(secrets);
    let made = processor_ms() - begun;
    let (mut read, mut passed) = (0, 0);
    let begun = processor_ms();
    while read < mib << 20 {
        for piece in text.chunks(READ) {
            passed += black_box(masker.push(piece)).len();
            read += piece.len();
        }
    }
    let took = (processor_ms() - begun).max(1);
    println!(
        "{count:4} of {length:4} bytes: {:6} MiB/s; {:6} bytes of forms, made in {made:3} ms; \
         {:5} KiB; {:.2} % passed",
        read as u64 * 1_000 / took / (1 << 20),
        masker.secrets().forms_bytes(),
        resident_kib().saturating_sub(before),
        passed as f64 / read as f64 * 100.0,
    );
}

/// Letters and digits, as tokens have; the same every time.
fn secret(number: usize, length: usize) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/";
    let mut state = number as u64 + 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LETTERS[(state >> 33) as usize % LETTERS.len()]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn log() -> Vec<u8> {
    let mut text = String::new();
    for number in 0.. {
        let _ = writeln!(
            text,
            "2026-03-04T12:{:02}:{:02}.{:03}Z [{number}] Compiling crate-{} v1.{}.{} (/home/ci/work/src/module_{}/lib.rs) {:016x}",
            number / 60 % 60,
            number % 60,
            number % 1_000,
            number % 97,
            number % 7,
            number % 13,
            number % 31,
            (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        );
        if text.len() > 4 << 20 {
            break;
        }
    }
    text.into_bytes()
}

/// Anonymous resident memory.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Processor time of this process, in steps of 10 ms.
fn processor_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    (ticks(13) + ticks(14)) * 10
}
