//! The fuzzer of `fuzz/fuzz_targets/dialects.rs` begins with what each dialect understands.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use stepflow_markers::dialects::{names, shipped_names};

/// All dialects are in use, and the output comes in one read.
const HEAD: [u8; 2] = [0xff, 0];

/// The lines of the table of cases by dialect, and a log of each problem matcher.
fn seeds() -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    let all: Vec<Value> = serde_json::from_str(include_str!("../dialect-cases.json")).unwrap();
    for case in all.iter().filter(|case| case["channel"].is_null()) {
        let name = case["dialect"].as_str().unwrap().to_owned();
        let seed = seeds.entry(name).or_insert_with(|| HEAD.to_vec());
        for line in case["input"].as_array().unwrap() {
            seed.extend_from_slice(line.as_str().unwrap().as_bytes());
            seed.push(b'\n');
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/golden");
    for name in shipped_names() {
        let log = fs::read(golden.join(name).join("plain.log")).unwrap();
        seeds.insert(name.to_owned(), [&HEAD, log.as_slice()].concat());
    }
    seeds
}

/// `STEPFLOW_BLESS=1` writes those that are missing.
#[test]
fn there_is_a_seed_for_each_dialect_and_each_matcher() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/dialects");
    let seeds = seeds();
    for (name, seed) in &seeds {
        let path = directory.join(format!("{name}.all"));
        if std::env::var_os("STEPFLOW_BLESS").is_some() {
            fs::write(&path, seed).unwrap();
        }
        assert!(fs::read(&path).ok().as_ref() == Some(seed), "{} is out of date", path.display());
    }
    for name in names().chain(shipped_names()) {
        assert!(seeds.contains_key(name), "no seed for {name}");
    }
}
