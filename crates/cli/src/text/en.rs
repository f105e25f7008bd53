//! English.

use super::Text;

fn some(count: &str, one: bool, word: &str) -> String {
    format!("{count} {word}{}", if one { "" } else { "s" })
}

pub static TEXT: Text = Text {
    completed: "completed",
    failed: "failed",
    cancelled: "cancelled",
    pending: "pending",
    running: "running",
    colon: ": ",
    skipped: "skipped",
    status_columns: 9,

    seconds: |seconds| format!("{seconds}s"),
    minutes: |minutes, seconds| format!("{minutes}m {seconds}s"),
    hours: |hours, minutes| format!("{hours}h {minutes:02}m"),
    tests: |passed, failed, skipped| {
        format!("tests: {passed} passed, {failed} failed, {skipped} skipped")
    },
    steps: |done, all| format!("{done}/{all} steps"),
    some_failed: |count| format!("{count} failed"),
    some_skipped: |count| format!("{count} skipped"),
    lines: |count, one| some(count, one, "line"),
    warnings: |count, one| some(count, one, "warning"),
    errors: |count, one| some(count, one, "error"),
    line: |number| format!("line {number}"),
    exit: |code| format!("exit {code}"),
    usually: |time| format!("usually {time}"),
    of_about: |time| format!("of about {time}"),

    more_running: |count| format!("and {count} more running"),
    stops: "Ctrl-C stops",
    stopping: |time| format!("stopping: killed in {time}, at once by Ctrl-C"),
    stopping_at_once: "stopping … (Ctrl-C again kills it at once)",
    killing: "killing …",
    ending_with_input: "ending with the input … (Ctrl-C again ends it at once)",
    ending: "ending …",
    disk_full: "paused: the disk is full, or fails",

    last_lines: |step| format!("last lines of {step}:"),
    last_lines_of_all: "last lines:",
    first_error: |place| format!("first error, {place}:"),
    more: "more: ",
    page: "page: ",

    warning: "warning",
    hint: "hint",
    error: "error",
    paused: |why| format!("paused: {why}"),
    resumed: "resumed",
    artifact_missing: |why| format!("artifact not collected: {why}"),
    goes_on: |step| format!("{step} (continued)"),

    now: |name, time| format!("{name}: running for {time}"),
    between_steps: "no step is open",
    has_run_for: |time| format!("for {time}"),
};
