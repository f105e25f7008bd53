//! What a log viewer needs to know of a log: how grave each line is, what a page shows of it and
//! how wide, where colours carry over, what a search finds. No network, no clock, no threads.
//!
//! A [`View`] is built in one pass over a record's log, in bounded memory, and goes on as the log
//! grows. What it knows stands in `cache/<id>.view`, which can be deleted at any time: it says
//! nothing that the log does not say. The format: `page.rs`, `store.rs`.
//!
//! ```
//! use stepflow_view::{Level, Source, Style, draw, verdict};
//! let drawn = draw(Source::Whole(b"10 %\r\x1b[31merror: disk full"), &mut Style::default());
//! assert_eq!((drawn.text.as_str(), drawn.replaced), ("error: disk full", 1));
//! assert_eq!(verdict(&drawn.text).level, Level::Error);
//! ```
#![forbid(unsafe_code)]

mod draw; // what a page shows of one line
mod error; // why a view cannot be had
mod html; // a log as one file that needs nothing else
mod level; // how grave a line is
mod page; // what is known of 512 lines
mod picture; // one row of a terminal
mod scan; // one pass over a log
mod search; // text and patterns over a whole log
mod store; // the file
mod style; // colours and text style
mod token; // bytes as a terminal takes them
mod view; // all of it, asked in many ways
mod width; // columns and rows

pub use crate::{
    draw::{Drawn, LOOKED_BYTES, SHOWN_BYTES, SHOWN_COLUMNS, Source, draw},
    error::ViewError,
    html::{Heading, Html, HtmlStep},
    level::{Finder, LEVEL_BYTES, Level, Verdict, verdict},
    page::{Counts, PAGE_LINES},
    search::{
        Bounds, Cursor, Excerpt, Hit, Looked, PATTERN_BYTES_MAX, Pattern, PatternError, SPANS_MAX,
        Syntax, beginning, excerpt, filter, search, search_back, search_skipping, spans,
    },
    style::{Colour, Style},
    view::{Dressed, Filter, Filtered, Rows, Tally, View, bucket_starts},
    width::{columns, rows, symbol},
};
