//! Any bytes as a body of a request: no panic; what is understood is understood again as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use stepflow_api as api;

fn both_ways<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_vec(&value).expect("JSON");
        assert_eq!(serde_json::from_slice::<T>(&text).expect("what was written"), value);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 5 {
        0 => both_ways::<api::CreateRequest>(bytes),
        1 => both_ways::<api::RerunRequest>(bytes),
        2 => both_ways::<api::LabelRequest>(bytes),
        3 => both_ways::<api::ClientMessage>(bytes),
        _ => both_ways::<api::SavedSearchRequest>(bytes),
    }
});
