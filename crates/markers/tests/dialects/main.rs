//! The dialects: the table of cases, and what holds for every input.

mod any; // what holds for every input
mod golden; // logs of real tools
mod json; // events as the table writes them
mod table; // the table of cases
