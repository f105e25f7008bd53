//! Makes a storage of the original StepFlow Monitor of any size: `generate DIR COUNT [SEED]`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for measuring")]

use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, count, seed @ ..] = args.as_slice() else {
        println!("usage: generate DIR COUNT [SEED]");
        std::process::exit(2);
    };
    let seed = seed.first().map_or(1, |seed| seed.parse().unwrap());
    let made = stepflow_testkit::original::generate(Path::new(dir), count.parse().unwrap(), seed);
    println!("{made:?}");
}
