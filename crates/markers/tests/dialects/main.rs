//! The dialects: the table of cases, and what holds for every input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod any; // what holds for every input
mod golden; // logs of real tools
mod json; // events as the table writes them
mod matchers; // problems described by data
mod rules; // between dialects
mod seeds; // what the fuzzer begins with
mod table; // the table of cases
mod tools; // what the logs of tools do not show
mod work; // what ordinary output costs
