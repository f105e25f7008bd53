//! Any text where an id, a cursor or a time stands in a request: no panic; an id has one spelling, and
//! none of them is a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_api::{Cursor, Zone, parse_time};
use stepflow_model::{ArtifactId, ExecutionId};

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<ExecutionId>() {
        assert_eq!(id.to_string(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
    }
    if let Ok(id) = text.parse::<ArtifactId>() {
        assert_eq!(id.to_string(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
    }
    let _ = parse_time(text, 1_795_377_600_000_000, Zone::Utc);
});
