//! What log viewers ask for, in words.

use serde_json::{Value, json};
use stepflow_api as api;

use super::{
    Schemas, examples,
    operation::{Operation, operation},
};
use crate::routes::{artifacts, download, export, search, tests, view};

/// All of them, in the order of the table.
pub(crate) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = of_logs(schemas);
    all.extend(searching(schemas));
    all.extend(of_tests(schemas));
    all.extend(taking_away(schemas));
    all
}

fn of_logs(schemas: &mut Schemas) -> Vec<Operation> {
    let of =
        |path, id, summary, description| operation("GET", path, id, "logs", summary, description);
    let counts = |error, other| json!({"error": error, "warning": 0, "notice": 0, "debug": 0, "other": other});
    let meta = json!({"lines": 120, "bytes": 9_600, "stored_bytes": 4_096, "compressed": true, "scanned_lines": 120, "complete": true,
        "counts": counts(1, 119), "stderr_lines": 0,
        "first_error": {"line": 88, "source": "detected"},
        "steps": [{"step": 0, "lines": 120, "counts": counts(1, 119),
            "first_error": {"line": 88, "source": "detected"}}],
        "ranges": [{"step": 0, "first_line": 1, "last_line": null}],
        "gaps": [], "safe_bytes": 9_600, "ended": true, "utc_offset_min": 0});
    vec![
        of(
            "/api/executions/{id}/log/meta",
            "getLogMeta",
            "What a log holds",
            "Lines of each level, the first error, what each step printed, gaps. Scanning takes \
             time: while `complete` is false, ask again.",
        )
        .execution()
        .json(schemas, 200, "What is known now.", examples::of::<api::LogMeta>(meta)),
        of(
            "/api/executions/{id}/log/rows",
            "getLogRows",
            "How high a log is",
            "Wrapped rows of every 512 lines on a page of so many columns.",
        )
        .execution()
        .query::<view::RowsParams>(schemas)
        .json(
            schemas,
            200,
            "What is known now.",
            examples::of::<api::LogRows>(json!({"columns": 80, "page_lines": 512, "from_page": 0,
                "pages": [131], "total_rows": 131, "scanned_lines": 120, "complete": true,
                "ended": true})),
        ),
        of(
            "/api/executions/{id}/log/density",
            "getLogDensity",
            "Where in a log its errors are",
            "Lines of each level in parts of equal size.",
        )
        .execution()
        .query::<view::DensityParams>(schemas)
        .json(
            schemas,
            200,
            "What is known now.",
            examples::of::<api::LogDensity>(json!({"buckets": [counts(0, 60), counts(1, 59)],
                "scanned_lines": 120, "complete": true, "ended": true})),
        ),
        of(
            "/api/executions/{id}/log/errors",
            "getLogErrors",
            "The errors of a log",
            "Found by a marker of the script, or detected by rules, which may be wrong.",
        )
        .execution()
        .query::<view::ErrorsParams>(schemas)
        .json(
            schemas,
            200,
            "One page.",
            examples::of::<api::LogErrors>(json!({"errors": [{"line": 88, "step": 0,
                "level": "error", "source": "detected", "text": "src/a.c:3:4: error: no"}],
                "total": 1, "next": null, "complete": true, "ended": true})),
        ),
    ]
}

fn searching(schemas: &mut Schemas) -> Vec<Operation> {
    let hit: Value = json!({"line": 88, "step": 0, "matches": 1, "spans": [[13, 18]]});
    vec![
        operation(
            "GET",
            "/api/executions/{id}/log/search",
            "searchLog",
            "logs",
            "Search a log",
            "Text or a regular expression, over the whole log as it is shown. One answer searches \
             for a moment; ask again with its `cursor` until `complete`, and add up.",
        )
        .execution()
        .query::<search::SearchParams>(schemas)
        .json(
            schemas,
            200,
            "What was found from `from_line` up to `next_line`.",
            examples::of::<api::LogSearch>(json!({"hits": [hit], "lines": 1, "matches": 1,
                "steps": [{"step": 0, "lines": 1}], "density": [], "from_line": 1,
                "next_line": 121, "total_lines": 120, "cursor": "9600.121", "complete": true,
                "ended": true})),
        ),
        operation(
            "GET",
            "/api/executions/{id}/spec",
            "getExecutionSpec",
            "executions",
            "How it was asked for",
            "Arguments, limits and flags as they were given, every state that it came into with \
             its time, the runs that it repeats, and what it left running.",
        )
        .execution()
        .json(
            schemas,
            200,
            "The spec.",
            examples::of::<api::ExecutionSpec>(json!({
                "id": "0198c2aa-0000-7000-8000-000000000001", "args": ["make", "all"],
                "shell": false, "stop_on_error": false, "split_stderr": false, "bound": true, "log_sync": "interval",
                "containment": "auto", "on_leftover": "kill", "log_max_bytes": 10_737_418_240_u64,
                "log_full": "keep-ends", "on_disk_full": "block", "dialect": "auto", "drain_seconds": 5.0,
                "timeout_seconds": 600.0, "grace_seconds": 10.0, "mask_env": ["TOKEN"],
                "terminal": {"cols": 80, "rows": 24}, "can_rerun": true,
                "repeats": ["0198c2aa-0000-7000-8000-000000000000"],
                "moments": [
                    {"state": "pending", "time": "2026-01-01T00:00:00.000000Z", "note": null},
                    {"state": "running", "time": "2026-01-01T00:00:00.010000Z", "note": null}],
                "leftover": ["sleep (4712)"]})),
        ),
        operation(
            "GET",
            "/api/executions/{id}/usual",
            "getUsualDurations",
            "executions",
            "How long it usually takes",
            "Medians over the last 20 passes of the same name, of the whole and of each step.",
        )
        .execution()
        .json(
            schemas,
            200,
            "The medians.",
            examples::of::<api::Usual>(json!({"passes": 20, "seconds": 62.5, "steps": [
                {"path": ["Build"], "occurrence": 0, "seconds": 40.0, "passes": 20, "step": 0}]})),
        ),
        operation(
            "GET",
            "/api/artifacts/{aid}/preview",
            "previewArtifact",
            "artifacts",
            "What can be shown of an artifact",
            "Safe data of a bounded size, by what the file is: text, a tree of Markdown, rows, \
             values, the size of an image, names in an archive, or the first bytes.",
        )
        .artifact()
        .query::<artifacts::PreviewParams>(schemas)
        .json(
            schemas,
            200,
            "The preview.",
            examples::of::<api::ArtifactPreview>(json!({
                "id": "0198c2aa-0000-7000-8000-000000000001-a0", "size": 5, "truncated": false,
                "content": {"kind": "text", "text": "hello"}})),
        ),
    ]
}

fn of_tests(schemas: &mut Schemas) -> Vec<Operation> {
    const ID: &str = "0198c2aa-0000-7000-8000-000000000001";
    const EARLIER: &str = "0198c2a9-0000-7000-8000-000000000001";
    const TIME: &str = "2026-11-22T20:00:00.000001Z";
    let counts = json!({"passed": 41, "failed": 1, "error": 0, "skipped": 2, "todo": 0});
    let test = json!({"index": 3, "dialect": "junit", "suite": "tests.test_math",
        "name": "test_div", "status": "failed", "duration_ms": 12, "attempts": 1,
        "message": "assert 3 == 2", "step": null, "file": null, "file_line": null, "line": 88,
        "flaky": false, "new": false, "change": "still_failing",
        "failing_since": {"execution_id": EARLIER, "created_at": TIME}});
    let past = |id, verdict| {
        json!({"execution_id": id, "created_at": TIME, "verdict": verdict, "flaky": false,
            "duration_ms": 12})
    };
    let one = examples::of::<api::TestDetail>(json!({"test": test, "tries": [{"attempt": 1,
        "status": "failed", "duration_ms": 12, "message": "assert 3 == 2",
        "details": "tests/test_math.py:7: AssertionError", "line": 88}],
        "history": [past(ID, "failed"), past(EARLIER, "failed")], "status": 200}));
    let list = examples::of::<api::TestList>(json!({"execution_id": ID, "dialect": "junit",
        "counts": counts, "dialects": {"junit": counts},
        "marks": {"newly_failing": 0, "still_failing": 1, "fixed": 0, "flaky": 0, "new": 0},
        "compared": 12, "total_ms": 4_210, "matched": 1, "offset": 0, "tests": [test],
        "has_more": false, "ended": true, "status": 200}));
    vec![
        operation(
            "GET",
            "/api/executions/{id}/tests",
            "listTests",
            "tests",
            "Tests of an execution",
            "What its output tells of tests and what files of results hold, a row a test, beside \
             what the last 50 executions of the same name say of each.",
        )
        .execution()
        .query::<tests::TestsParams>(schemas)
        .json(schemas, 200, "One page.", list)
        .problems(&[400]),
        operation(
            "GET",
            "/api/executions/{id}/tests/{index}",
            "getTest",
            "tests",
            "One test of an execution",
            "Every try with its whole message, and how it ended in earlier executions.",
        )
        .execution()
        .path_parameter("index", json!({"type": "integer", "minimum": 0}), "A test's `index`.")
        .json(schemas, 200, "The test.", one),
        operation(
            "GET",
            "/api/tests",
            "getTestHistory",
            "tests",
            "One test over the executions of a name",
            "How it ended in the last 50 executions of that name that had it, newest first.",
        )
        .query::<tests::HistoryParams>(schemas)
        .json(
            schemas,
            200,
            "Its history.",
            examples::of::<api::TestHistory>(json!({"name": "nightly", "suite": "tests.test_math",
                "test": "test_div", "history": [past(ID, "failed"), past(EARLIER, "passed")],
                "count": 2, "status": 200})),
        )
        .problems(&[400]),
    ]
}

fn taking_away(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        operation(
            "GET",
            "/api/executions/{id}/log/download",
            "downloadLog",
            "logs",
            "Take a log away",
            "As a file: the recorded bytes, text with times, or an object a line; all of it, one \
             step, some lines, or what a filter lets through; packed if asked. The whole of the \
             recorded bytes takes `Range`.",
        )
        .execution()
        .query::<download::DownloadParams>(schemas)
        .bytes(200, "The file.", "text/plain", Some("2026-11-22T20:00:00.000001Z  hello\n"))
        .or("application/jsonl")
        .or("application/gzip")
        .bytes(206, "A range of the recorded bytes.", "text/plain", None)
        .problems(&[416]),
        operation(
            "GET",
            "/api/executions/{id}/export",
            "exportExecution",
            "executions",
            "An execution as one HTML file",
            "With its own styles, without script, and without any request when it is opened. Of a \
             log over 100,000 lines the middle is left out, and the file says how to get it.",
        )
        .execution()
        .query::<export::ExportParams>(schemas)
        .bytes(200, "The file.", "text/html", None),
    ]
}
