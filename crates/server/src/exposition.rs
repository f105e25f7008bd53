//! The text format of Prometheus: families with help, type and samples.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

use std::fmt::{Display, Write};

use stepflow_catalog::{BUCKETS_US, Durations};

/// Content type of the text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text under construction.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

/// A family whose samples are being written.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }

    /// What goes up and down.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// What only grows; its name ends in `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Durations in seconds.
    pub(crate) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One sample without labels.
    pub(crate) fn value(&mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// One sample.
    pub(crate) fn with(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.sample("", labels, value);
        self
    }

    /// All samples of a histogram.
    pub(crate) fn durations(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let mut seen = 0;
        for (at, count) in durations.buckets.iter().enumerate() {
            seen += count;
            let end = BUCKETS_US.get(at).map(|us| (*us as f64 / 1e6).to_string());
            let mut labels = labels.to_vec();
            labels.push(("le", end.as_deref().unwrap_or("+Inf")));
            self.sample("_bucket", &labels, seen);
        }
        self.sample("_sum", labels, durations.sum_us as f64 / 1e6);
        self.sample("_count", labels, seen);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut *self.text;
        let _ = write!(text, "{}{suffix}", self.name);
        for (at, (name, value)) in labels.iter().enumerate() {
            let _ = write!(text, "{}{name}=\"", if at == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(text, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use stepflow_catalog::Histogram;

    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.gauge("a", "Help.").with(&[("x", "1\"\\\n"), ("y", "")], 1.5);
        text.counter("b_total", "Help.").value(3);
        let histogram = Histogram::default();
        histogram.observe(std::time::Duration::from_micros(600));
        histogram.observe(std::time::Duration::from_secs(60));
        text.histogram("c_seconds", "Help.").durations(&[("z", "q")], &histogram.snapshot());
        let text = text.finish();
        let head = "# HELP a Help.\n# TYPE a gauge\na{x=\"1\\\"\\\\\\n\",y=\"\"} 1.5\n\
                    # HELP b_total Help.\n# TYPE b_total counter\nb_total 3\n";
        assert!(text.starts_with(head), "{text}");
        for line in [
            "c_seconds_bucket{z=\"q\",le=\"0.0005\"} 0\n",
            "c_seconds_bucket{z=\"q\",le=\"0.001\"} 1\n",
            "c_seconds_bucket{z=\"q\",le=\"10\"} 1\n",
            "c_seconds_bucket{z=\"q\",le=\"+Inf\"} 2\n",
            "c_seconds_sum{z=\"q\"} 60.0006\n",
            "c_seconds_count{z=\"q\"} 2\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
