//! What a short execution takes on the disk, and that nobody who reads it can tell.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
/// Twelve lines, three steps.
const SCRIPT: &str = "for s in Fetch Build Test; do echo STEP_START:$s; echo $s begins; \
                      echo $s goes on; echo STEP_COMPLETE:$s; done";

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_record_of_a_dozen_lines_takes_three_blocks_and_its_directory_and_reads_like_any() {
    let scratch = Scratch::new(STEPFLOW);
    assert!(
        scratch.output(&["run", "--output", "quiet", "--", "sh", "-c", SCRIPT]).status.success()
    );
    let id = scratch.newest();
    let dir = scratch.storage.record_dir(id);
    assert_eq!(names(&dir), ["claim", "journal.ndjson", "output.log", "spec.json"]);
    let blocks = |path: &Path| fs::symlink_metadata(path).unwrap().blocks() * 512;
    let files: u64 = names(&dir).iter().map(|name| blocks(&dir.join(name))).sum();
    assert!(files <= 3 * 4096, "{files} bytes in files");

    let output = scratch.output_of(id);
    assert_eq!(String::from_utf8(output.clone()).unwrap().lines().count(), 12);
    let look = |args: &[&str]| {
        let said = scratch.output(args);
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
        said.stdout
    };
    let id_text = id.to_string();
    let all = || {
        let asked: [&[&str]; 4] = [
            &["logs", "--raw", &id_text],
            &["logs", "--tail", "3", &id_text],
            &["logs", "--json", "--step", "Build", &id_text],
            &["show", "--json", &id_text],
        ];
        let mut said = asked.map(look).to_vec();
        // How much it takes on the disk is the one thing that may differ.
        let shown: serde_json::Value = serde_json::from_slice(&said.pop().unwrap()).unwrap();
        (said, shown["steps"].clone())
    };
    let before = all();
    assert_eq!(before.0[0], output);
    let proof = scratch.storage.verify(id).unwrap();
    assert!(proof.flaws.is_empty() && proof.sealed, "{proof:?}");

    // A backup has it whole, and so has what is restored from it.
    let target = scratch.work().join("backup");
    let target = target.to_str().unwrap();
    look(&["backup", target]);
    let again = scratch.at(&scratch.work().join("restored"));
    let restored = again.output(&["restore", target]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(again.output_of(id), output);
    assert!(again.storage.verify(id).unwrap().sealed);

    // So has what it becomes when it is compressed.
    look(&["compress", &id_text]);
    assert_eq!(names(&dir), ["claim", "journal.ndjson", "output.log.zst", "spec.json"]);
    assert_eq!(all(), before);
    let proof = scratch.storage.verify(id).unwrap();
    assert!(proof.flaws.is_empty() && proof.sealed && proof.compressed, "{proof:?}");

    // A damaged end is found, and costs no byte of the output.
    let journal = again.storage.record_dir(id).join("journal.ndjson");
    let mut bytes = fs::read(&journal).unwrap();
    let digit = bytes.len() - 200;
    bytes[digit] = if bytes[digit] == b'0' { b'1' } else { b'0' };
    fs::write(&journal, bytes).unwrap();
    assert!(!again.storage.verify(id).unwrap().flaws.is_empty());
    again.output(&["ls"]);
    assert_eq!(again.output_of(id), output);
}
