//! Any line on a recorder's socket: no panic; what is understood is understood again as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_recorder::control::{Answer, Request};

fuzz_target!(|line: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        let text = serde_json::to_vec(&request).expect("JSON");
        assert_eq!(serde_json::from_slice::<Request>(&text).expect("a request"), request);
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
        let text = serde_json::to_vec(&answer).expect("JSON");
        assert_eq!(serde_json::from_slice::<Answer>(&text).expect("an answer"), answer);
    }
});
