//! The history as a picture: how far each figure is from its bar, the newest run before earlier ones.

use super::{Kept, Row, rows};

/// A row for each figure, a column for each doubling, from a sixteenth of the bar to sixteen times.
const ROW: f64 = 18.0;
const LABEL: f64 = 470.0;
const DOUBLING: f64 = 44.0;
const DOUBLINGS: f64 = 4.0;
const TOP: f64 = 46.0;
/// Earlier runs that are shown.
const EARLIER_MAX: usize = 20;

/// How many times as good as its bar asks: 1 on the bar, 2 where half the time would be enough for it.
/// `None`: it has no bar, or was not measured.
fn goodness(row: &Row) -> Option<f64> {
    let (kind, bar) = row.bar.as_ref()?;
    let value = if kind.starts_with("ratio") { row.ratio? } else { row.median };
    let times = if kind.ends_with("at_least") { value / bar } else { bar / value };
    // Nothing where nothing may be is as good as can be.
    let times = if value == 0.0 && *bar == 0.0 { f64::INFINITY } else { times };
    (!times.is_nan()).then_some(times)
}

fn x(times: f64) -> f64 {
    LABEL + (times.log2().clamp(-DOUBLINGS, DOUBLINGS) + DOUBLINGS) * DOUBLING
}

/// The runs of each of `sizes`, one below the other, as an SVG that follows the reader's colours.
pub(super) fn history(kept: &[Kept], sizes: &[&str]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for size in sizes {
        let runs: Vec<&Kept> = kept.iter().filter(|kept| kept.size == *size).collect();
        let Some((newest, earlier)) = runs.split_last() else { continue };
        body.push_str(&format!(
            "<text class=\"h\" x=\"8\" y=\"{:.0}\">{} ({})</text>\n",
            y + 13.0,
            escaped(size),
            escaped(&newest.commit)
        ));
        y += ROW;
        for row in rows(&newest.report) {
            let Some(times) = goodness(&row) else { continue };
            let middle = y + ROW / 2.0;
            let of = row.of.map(|of| format!(" ({of})")).unwrap_or_default();
            body.push_str(&format!(
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}{of}</text>\n",
                LABEL - 10.0,
                middle + 4.0,
                escaped(row.about.trim_end_matches('.'))
            ));
            for old in &earlier[earlier.len().saturating_sub(EARLIER_MAX)..] {
                let same = |old: &Row| old.is_as(&row);
                let Some(old) = rows(&old.report).find(same).as_ref().and_then(goodness) else {
                    continue;
                };
                body.push_str(&format!(
                    "<circle class=\"e\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"3\"/>\n",
                    x(old)
                ));
            }
            let class = match row.met {
                _ if times >= 1.0 => "met",
                Some(_) => "short",
                None => "e", // Its bar is meant for more than that.
            };
            body.push_str(&format!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"5\"/>\n",
                x(times)
            ));
            y += ROW;
        }
        y += ROW / 2.0;
    }
    let width = LABEL + 2.0 * DOUBLINGS * DOUBLING + 30.0;
    let mut axis = String::new();
    for doubling in -(DOUBLINGS as i32)..=DOUBLINGS as i32 {
        let times = f64::from(doubling).exp2();
        let class = if doubling == 0 { "bar" } else { "grid" };
        let label = match doubling {
            0 => "bar".to_owned(),
            1.. => format!("{times:.0}×"),
            _ => format!("1/{:.0}", 1.0 / times),
        };
        axis.push_str(&format!(
            "<line class=\"{class}\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.0}\" y2=\"{y:.0}\"/>\n\
             <text x=\"{0:.1}\" y=\"{2:.0}\" text-anchor=\"middle\">{label}</text>\n",
            x(times),
            TOP - 6.0,
            TOP - 12.0
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {:.0}\" role=\"img\">\n\
         <title>How many times as good as its bar each figure is</title>\n\
         <style>text {{ font: 12px sans-serif; fill: #333 }} .h {{ font-weight: bold }} \
         .grid {{ stroke: #ddd }} .bar {{ stroke: #333; stroke-width: 2 }} .e {{ fill: #aaa }} \
         .met {{ fill: #1a7f37 }} .short {{ fill: #cf222e }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #ccc }} .grid {{ stroke: #444 }} \
         .bar {{ stroke: #ccc }} .e {{ fill: #666 }} .met {{ fill: #3fb950 }} .short {{ fill: #f85149 }} }}</style>\n\
         <text class=\"h\" x=\"8\" y=\"16\">better than its bar to the right; grey: earlier runs, and large: its bar is meant for more</text>\n\
         {axis}{body}</svg>\n",
        y + 10.0
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(commit: &str, median: f64) -> Kept {
        let report = json!({ "figures": [
            { "what": "a", "about": "Requests <a second>.", "of": 2, "unit": "per_second",
              "median": median, "min": median, "max": median, "bar": { "at_least": 100.0 },
              "met": median >= 100.0 },
            { "what": "b", "about": "Lines lost.", "unit": "", "median": 0.0, "min": 0.0, "max": 0.0,
              "bar": { "at_most": 0.0 } },
            { "what": "c", "about": "No bar.", "unit": "", "median": 1.0, "min": 1.0, "max": 1.0 },
        ]});
        Kept { commit: commit.to_owned(), size: "usual".to_owned(), report }
    }

    #[test]
    fn a_figure_stands_where_its_bar_puts_it_and_earlier_runs_beside_it() {
        let svg = history(&[kept("one", 400.0), kept("two", 50.0)], &["usual", "none"]);
        let (newest, earlier) = (x(0.5), x(4.0));
        assert!(svg.contains(&format!("class=\"short\" cx=\"{newest:.1}\"")), "{svg}");
        assert!(svg.contains(&format!("class=\"e\" cx=\"{earlier:.1}\"")), "{svg}");
        assert!(svg.contains("Requests &lt;a second&gt; (2)") && svg.contains("usual (two)"));
        // Nothing lost where nothing may be lost: as good as it gets, now and before.
        assert_eq!(svg.matches(&format!("cx=\"{:.1}\"", x(f64::INFINITY))).count(), 2);
        assert!(!svg.contains("No bar"));
    }
}
