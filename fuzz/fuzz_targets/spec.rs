//! Any bytes as a spec, with a right checksum or without: no panic; what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::{quick_dir, spec};
use stepflow_record::Storage;

fuzz_target!(|data: &[u8]| {
    let Some((sealed, body)) = data.split_first() else { return };
    let dir = quick_dir();
    let storage = Storage::open(dir.path()).expect("a storage");
    let id = spec().id;
    let record = storage.record_dir(id);
    std::fs::create_dir(&record).expect("a directory");
    let mut line = body.to_vec();
    if sealed % 2 == 0 {
        line.extend(format!(",\"crc\":\"{:08x}\"}}\n", crc32c(body)).into_bytes());
    }
    std::fs::write(record.join("spec.json"), line).expect("a file");
    if let Ok(read) = storage.spec(id) {
        let text = serde_json::to_string(&read).expect("JSON");
        assert_eq!(serde_json::from_str::<stepflow_model::Spec>(&text).expect("a spec"), read);
    }
});

/// As slow as it is short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}
