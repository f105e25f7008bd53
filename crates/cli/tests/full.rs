//! A disk that stays full: what the policy says happens, and the end is written all the same.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fs::File, io::Write, os::unix::fs::MetadataExt, process::Stdio};

use stepflow_model::{EventKind, ExecutionId, Reason, Status};
use stepflow_record::{JournalReader, RecordView};
use stepflow_testkit::{Scratch, SmallDisk, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
/// Prints for ever, whatever becomes of its output, and says that all went well when it is asked.
const STUBBORN: &str = "trap 'exit 0' TERM; echo STEP_START:Big; \
                        while :; do seq 1 1000 2>/dev/null; sleep 0.01; done";

fn place() -> (SmallDisk, Scratch) {
    let disk = SmallDisk::mount("8m");
    let scratch = Scratch::new(STEPFLOW).at(&disk.path().join("storage"));
    (disk, scratch)
}

/// Takes the last page.
fn fill(disk: &SmallDisk) {
    let mut file = File::create(disk.path().join("ballast")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
}

fn prints(scratch: &Scratch, id: ExecutionId) {
    eventually("some output", || (scratch.output_of(id).len() > 100_000).then_some(()));
}

fn codes(scratch: &Scratch, id: ExecutionId) -> Vec<EventKind> {
    let mut journal = JournalReader::open(&scratch.storage.record_dir(id)).unwrap().unwrap();
    journal.read_new().unwrap().into_iter().map(|event| event.kind).collect()
}

/// What is recorded is what was printed up to some byte, and the record proves itself.
fn is_a_whole_beginning(scratch: &Scratch, view: &RecordView, id: ExecutionId) {
    let log = scratch.output_of(id);
    let numbers: Vec<String> = (1..=1000).map(|number| number.to_string()).collect();
    let round = numbers.join("\n") + "\n";
    let mut printed = String::from("STEP_START:Big\n");
    while printed.len() < log.len() {
        printed.push_str(&round);
    }
    assert!(printed.as_bytes().starts_with(&log), "the log is no beginning of what was printed");
    assert_eq!(view.state.summary.position.bytes, log.len() as u64);
    let flaws = scratch.storage.verify(id).unwrap().flaws;
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[test]
fn a_script_is_stopped_when_the_disk_stays_full_and_its_end_is_written_while_it_is() {
    let (disk, scratch) = place();
    let options = ["--on-disk-full", "kill"];
    let id = scratch.detach(&options, &["bash", "-c", STUBBORN]);
    prints(&scratch, id);
    fill(&disk);
    let view = scratch.ended(id); // Nobody has freed a byte.
    let summary = &view.state.summary;
    assert_eq!((summary.status, summary.reason), (Status::Failed, Some(Reason::DiskFull)));
    assert!(!summary.paused);
    assert_eq!(view.state.steps[0].status, stepflow_model::StepStatus::Failed);
    is_a_whole_beginning(&scratch, &view, id);
    let kinds = codes(&scratch, id);
    let why = kinds.iter().find_map(|kind| match kind {
        EventKind::Paused { why } => Some(why.clone()),
        _ => None,
    });
    assert!(why.unwrap().starts_with("the disk is full: "));
    let lost = view.state.annotations.iter().find(|warning| warning.code == "output_lost");
    assert!(lost.unwrap().message.contains("bytes of output behind byte"));
    assert_eq!(summary.error_message.as_deref(), Some("the disk was full for 5 s"));
}

#[test]
fn a_pipe_is_cut_when_the_disk_stays_full_and_whoever_writes_learns_it() {
    let (disk, scratch) = place();
    let script = format!(
        "{{ echo STEP_START:Big; while seq 1 1000 2>/dev/null; do sleep 0.01; done; }} | \
         {STEPFLOW} --storage {} pipe --output quiet --on-disk-full kill; exit $?",
        scratch.storage.root().display()
    );
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &script]).current_dir(scratch.work()).stderr(Stdio::null());
    let mut child = stepflow_testkit::Ended(command.spawn().unwrap());
    let id = eventually("it is there", || scratch.storage.executions().unwrap().last().copied());
    prints(&scratch, id);
    fill(&disk);
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.reason, Some(Reason::DiskFull));
    is_a_whole_beginning(&scratch, &view, id);
    assert_eq!(
        child.0.wait().unwrap().code(),
        Some(125),
        "bash, and with it the writer, has ended"
    );
}

#[test]
fn a_script_that_waits_is_shown_as_that_and_can_be_cancelled_while_the_disk_is_full() {
    let (disk, scratch) = place();
    let id = scratch.detach(&[], &["bash", "-c", STUBBORN]);
    prints(&scratch, id);
    assert!(scratch.text(&["ls"]).contains("running"));
    fill(&disk);
    eventually("it waits", || scratch.view(id).state.summary.paused.then_some(()));
    let output = scratch.output(&["show", &id.to_string()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("paused: the disk is full"), "{said}{err}");
    std::thread::sleep(std::time::Duration::from_secs(6)); // Longer than the other policy waits.
    assert!(!scratch.view(id).state.summary.status.is_end(), "it waits for ever");
    assert!(scratch.output(&["cancel", &id.to_string()]).status.success());
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.status, Status::Cancelled);
    // A `seq` that was signalled before its shell may have left half a round in the middle.
    let flaws = scratch.storage.verify(id).unwrap().flaws;
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[test]
fn what_is_kept_for_a_full_disk_is_given_back_at_the_end() {
    let (_disk, scratch) = place();
    let blocks = |id: ExecutionId| -> u64 {
        let dir = scratch.storage.record_dir(id);
        // The index of a short log is gone at the end: the journal has it.
        ["journal.ndjson", "output.idx"]
            .iter()
            .filter_map(|name| std::fs::metadata(dir.join(name)).ok())
            .map(|meta| meta.blocks() * 512)
            .sum()
    };
    let id = scratch.detach(&[], &["sh", "-c", "echo x; sleep 1000"]);
    eventually("it prints", || (scratch.output_of(id).len() == 2).then_some(()));
    assert!(blocks(id) >= 64 * 1024, "{} bytes are kept", blocks(id));
    scratch.output(&["cancel", &id.to_string()]);
    scratch.ended(id);
    eventually("it is given back", || (blocks(id) <= 8 * 1024).then_some(()));
    // A recorder that is killed gives nothing back: whoever writes its verdict does.
    let id = scratch.detach(&[], &["sh", "-c", "echo x; sleep 1000"]);
    let (recorder, ..) = scratch.pids(id);
    stepflow_testkit::kill(recorder);
    let reason = eventually("its verdict is written", || {
        scratch.output(&["ls"]); // Whoever holds the writer lock gives it.
        scratch.view(id).state.summary.reason
    });
    assert_eq!(reason, Reason::RecorderLost);
    assert!(blocks(id) <= 8 * 1024, "{} bytes are kept", blocks(id));
}

/// Prints numbers until it is told to stop, and says beside its output how far it is: whoever looks
/// sees whether it waits. `mark` makes it print a step.
const COUNTS: &str = "i=1
while [ ! -e stop ]; do
  seq $i $((i + 99)); i=$((i + 100))
  echo $i > count.new; mv count.new count
  if [ -e mark ]; then rm mark; echo STEP_START:Inside; echo STEP_COMPLETE:Inside; fi
  sleep 0.002
done
echo STEP_START:Last; echo bye";

/// What the marker lines and the last word add to the numbers.
const MARKS: &str = "STEP_START:Inside\nSTEP_COMPLETE:Inside\nSTEP_START:Last\nbye\n";

fn counted(scratch: &Scratch) -> u64 {
    let text = std::fs::read_to_string(scratch.work().join("count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn goes_on(scratch: &Scratch, more: u64) {
    let from = counted(scratch);
    eventually("the script goes on", || (counted(scratch) >= from + more).then_some(()));
}

fn says(view: &RecordView, code: &str) -> usize {
    view.state.annotations.iter().filter(|said| said.code == code).count()
}

/// What is recorded and what is said to be lost is what was printed; nothing that was not side by
/// side is shown as one line.
fn nothing_is_missing_in_silence(scratch: &Scratch, view: &RecordView, id: ExecutionId) {
    let state = &view.state;
    let numbers: u64 = (1..counted(scratch)).map(|n| n.to_string().len() as u64 + 1).sum();
    let log = scratch.output_of(id);
    let printed = numbers + MARKS.len() as u64;
    assert_eq!(log.len() as u64 + state.lost_bytes, printed, "{:?}", state.losses);
    assert_eq!(state.lost_bytes, state.losses.iter().map(|loss| loss.bytes).sum::<u64>());
    let reader = stepflow_record::LogReader::open(&scratch.storage.record_dir(id));
    let lines = reader.unwrap().unwrap().lines(1, usize::MAX).unwrap();
    let mut last = 0;
    for line in &lines {
        let text = std::str::from_utf8(&line.text).unwrap();
        let Ok(number) = text.parse::<u64>() else {
            assert!(MARKS.contains(text), "{text}");
            continue;
        };
        let cut = state.losses.iter().any(|loss| loss.offset == line.end);
        assert!(cut || number > last, "line {} says {number} behind {last}", line.number);
        last = last.max(number);
    }
    for loss in &state.losses {
        let behind = lines.iter().find(|line| line.offset >= loss.offset);
        assert!(behind.is_none_or(|line| line.number == loss.line), "{loss:?} {behind:?}");
    }
    let flaws = scratch.storage.verify(id).unwrap().flaws;
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[test]
fn a_script_never_waits_under_drop_and_every_byte_that_is_missing_is_counted() {
    let (disk, scratch) = place();
    let options = ["--on-disk-full", "drop"];
    let id = scratch.detach(&options, &["bash", "-c", COUNTS]);
    prints(&scratch, id);
    fill(&disk);
    let view = eventually("it is said", || {
        let view = scratch.view(id);
        (says(&view, "disk_full") > 0).then_some(view)
    });
    assert!(!view.state.summary.paused, "it does not wait");
    goes_on(&scratch, 20_000);
    std::fs::write(scratch.work().join("mark"), "").unwrap();
    let view = eventually("a step in what is lost is seen", || {
        let view = scratch.view(id);
        view.state.steps.iter().any(|step| step.status.is_end()).then_some(view)
    });
    assert_eq!(view.state.steps[0].name, "Inside");
    let before = scratch.output_of(id).len();
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    eventually("it is recorded again", || {
        (scratch.output_of(id).len() > before + 50_000).then_some(())
    });
    std::fs::write(scratch.work().join("stop"), "").unwrap();
    let view = scratch.ended(id);
    let summary = &view.state.summary;
    assert_eq!((summary.status, summary.exit_code), (Status::Completed, Some(0)));
    assert!(!view.state.losses.is_empty());
    assert_eq!(view.state.steps.last().unwrap().name, "Last");
    nothing_is_missing_in_silence(&scratch, &view, id);
    assert!(scratch.output_of(id).ends_with(b"\nSTEP_START:Last\nbye\n"));

    // Nobody who reads it can take it for whole.
    let id_text = id.to_string();
    let said = scratch.text(&["logs", &id_text]);
    assert_eq!(said.matches("output is missing here").count(), view.state.losses.len());
    let raw = scratch.output(&["logs", "--raw", &id_text]);
    assert_eq!(raw.stdout, scratch.output_of(id), "its bytes are what is recorded");
    assert!(String::from_utf8_lossy(&raw.stderr).contains("output is missing here"));
    assert!(scratch.text(&["show", &id_text]).contains("bytes of output behind byte"));
    // Nor is it lost with its first form.
    let log = scratch.output_of(id);
    scratch.text(&["compress", &id_text]);
    assert_eq!(scratch.output(&["logs", "--raw", &id_text]).stdout, log);
    assert_eq!(scratch.text(&["logs", &id_text]), said);
    assert!(scratch.storage.verify(id).unwrap().flaws.is_empty());
}

#[test]
fn under_drop_a_script_ends_as_it_does_while_the_disk_is_full() {
    let (disk, scratch) = place();
    let id = scratch.detach(&["--on-disk-full", "drop"], &["bash", "-c", COUNTS]);
    prints(&scratch, id);
    fill(&disk);
    goes_on(&scratch, 10_000);
    std::fs::write(scratch.work().join("mark"), "").unwrap();
    eventually("it was printed", || (!scratch.work().join("mark").exists()).then_some(()));
    std::fs::write(scratch.work().join("stop"), "").unwrap();
    let view = scratch.ended(id); // Nobody has freed a byte.
    let summary = &view.state.summary;
    assert_eq!((summary.status, summary.exit_code), (Status::Completed, Some(0)));
    let names: Vec<_> = view.state.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["Inside", "Last"]);
    assert_eq!(view.state.losses.len(), 1);
    nothing_is_missing_in_silence(&scratch, &view, id);
}

#[test]
fn under_drop_whoever_writes_into_a_pipe_never_waits() {
    let (disk, scratch) = place();
    let script = format!(
        "{{ {COUNTS}; }} | {STEPFLOW} --storage {} pipe --output quiet --on-disk-full drop",
        scratch.storage.root().display()
    );
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &script]).current_dir(scratch.work()).stderr(Stdio::null());
    let mut child = stepflow_testkit::Ended(command.spawn().unwrap());
    let id = eventually("it is there", || scratch.storage.executions().unwrap().last().copied());
    prints(&scratch, id);
    fill(&disk);
    goes_on(&scratch, 20_000);
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    let before = scratch.output_of(id).len();
    eventually("it is recorded again", || {
        (scratch.output_of(id).len() > before + 50_000).then_some(())
    });
    std::fs::write(scratch.work().join("mark"), "").unwrap();
    eventually("it was printed", || (!scratch.work().join("mark").exists()).then_some(()));
    std::fs::write(scratch.work().join("stop"), "").unwrap();
    let view = scratch.ended(id);
    assert_eq!(view.state.summary.status, Status::Completed);
    assert!(!view.state.losses.is_empty());
    nothing_is_missing_in_silence(&scratch, &view, id);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
