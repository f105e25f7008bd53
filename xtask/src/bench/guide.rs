//! The table of the performance guide that set this project's theme, with our figures in it.

use serde_json::Value;

use super::{Kept, Row, number, rows};

/// A row: what it is about, what the guide says, what its optimized version was measured to do (medians
/// on two cores under Linux), and where ours is kept.
struct Of {
    about: &'static str,
    guide: &'static str,
    measured: &'static str,
    ours: &'static [Ours],
}

/// A figure of ours: of which size, which one, of how many, and what is said behind it.
struct Ours(&'static str, &'static str, Option<u64>, &'static str);

const TABLE: [Of; 11] = [
    Of {
        about: "`/api/health`, 2 connections, 100,000 executions",
        guide: "0.41 ms",
        measured: "3,110/s; 0.34 ms",
        ours: &[Ours("usual", "health", Some(2), "/s")],
    },
    Of {
        about: "`/api/executions?limit=10`, the same",
        guide: "1.33 ms",
        measured: "600/s; 1.5 ms, p99 2.9 ms",
        ours: &[
            Ours("usual", "list", Some(2), "/s;"),
            Ours("usual", "busy_list_median", Some(2), " ms and"),
            Ours(
                "usual",
                "busy_list_slow",
                Some(2),
                " ms p99 while 50 executions a second start and end",
            ),
        ],
    },
    Of {
        about: "the same of one status",
        guide: "",
        measured: "22 ms",
        ours: &[Ours("usual", "list_of_status", Some(2), "/s")],
    },
    Of {
        about: "statistics",
        guide: "",
        measured: "33 ms",
        ours: &[Ours("usual", "statistics", Some(2), "/s")],
    },
    Of {
        about: "mixed operations of the database, 60 % reads, 20 workers",
        guide: "808/s",
        measured: "1,851/s (1 worker: 1,259/s)",
        ours: &[Ours("usual", "mixed", Some(20), "/s")],
    },
    Of {
        about: "executions, requested at once",
        guide: "15.93/s",
        measured: "20: 16/s; 100: 45/s; 500: 68/s",
        ours: &[
            Ours("streams-500", "start", Some(500), "/s;"),
            Ours("streams-1000", "start_failed", Some(1_000), " of 1,000 refused"),
        ],
    },
    Of {
        about: "500 streams × 10 lines/s, to a viewer",
        guide: "500 and more",
        measured: "mean lag 3.7 s, up to 10 s; one run in six refused 38",
        ours: &[
            Ours("streams-500", "streams_slow", Some(500), " ms p99,"),
            Ours("streams-500", "streams_lost", Some(500), " lines lost"),
        ],
    },
    Of {
        about: "600 streams; ours 1,000",
        guide: "",
        measured: "250 complete, 193 failed, 157 without a line",
        ours: &[
            Ours("streams-1000", "streams_slow", Some(1_000), " ms p99,"),
            Ours("streams-1000", "streams_lost", Some(1_000), " lines lost"),
        ],
    },
    Of {
        about: "memory of 500 streams",
        guide: "about 200 MB",
        measured: "334 MiB for 100 MB of output, 410 while it is read",
        ours: &[Ours("streams-500", "streams_memory", Some(500), " MB")],
    },
    Of {
        about: "one script's output",
        guide: "",
        measured: "10,000 lines in 11.9 s, 40,000 in 151 s",
        ours: &[Ours("gigabyte", "capture_speed", None, " MB/s (12.5 million lines)")],
    },
    Of {
        about: "start; idle memory",
        guide: "",
        measured: "0.40 s; 37 MiB",
        ours: &[
            Ours("million", "cold_start", Some(1_000_000), " s over 1,000,000 executions;"),
            Ours("million", "idle", None, " MB"),
        ],
    },
];

/// The table; what was not measured has a dash.
pub(super) fn table(kept: &[Kept]) -> String {
    let mut made =
        "| | the guide says | its optimized version, measured | ours |\n|---|---|---|---|\n"
            .to_owned();
    for row in &TABLE {
        let ours: Vec<String> = row.ours.iter().map(|ours| ours.told(kept)).collect();
        made.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.about,
            row.guide,
            row.measured,
            ours.join(" ")
        ));
    }
    made
}

impl Ours {
    fn told(&self, kept: &[Kept]) -> String {
        let Self(size, what, of, behind) = self;
        let report: Option<&Value> =
            kept.iter().rfind(|kept| kept.size == *size).map(|kept| &kept.report);
        let is_it = |row: &Row| row.what == *what && (of.is_none() || row.of == *of);
        match report.and_then(|report| rows(report).find(is_it)) {
            Some(row) => format!("{}{behind}", number(row.median)),
            None => "–".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_measured_stands_in_the_table_and_the_rest_is_not_made_up() {
        let figure = |what: &str, of: u64, median: f64| json!({"what": what, "about": "", "of": of, "unit": "per_second", "median": median});
        let report = |median: f64| Kept {
            commit: "0".to_owned(),
            size: "usual".to_owned(),
            report: json!({"figures": [figure("health", 1, 7.0), figure("health", 2, median)]}),
        };
        let made = table(&[report(20_000.0), report(30_000.0)]);
        let rows: Vec<&str> = made.lines().skip(2).collect();
        assert_eq!(rows.len(), TABLE.len());
        assert!(rows[0].ends_with("| 0.41 ms | 3,110/s; 0.34 ms | 30000/s |"), "{}", rows[0]);
        assert!(rows[1].ends_with("| – – – |"), "{}", rows[1]);
    }
}
