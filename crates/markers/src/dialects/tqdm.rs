//! Progress bars that overwrite themselves, in the form of tqdm.
//!
//! Source: `tqdm/tqdm`, `format_meter` in `tqdm/std.py`; output of tqdm 4.70.

use super::{Context, Dialect, Line, Taken, Watch, watch::Needle};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Tqdm)
}

/// Without state: a line says all.
struct Tqdm;

impl Dialect for Tqdm {
    fn watch(&self) -> Watch {
        Watch::none().needle(Needle::Bar)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let mut last = None;
        for part in line.plain().split('\r').filter(|part| !part.trim().is_empty()) {
            match bar(part) {
                Some(bar) => last = Some(bar),
                None => return Taken::No,
            }
        }
        let Some((percent, name)) = last else { return Taken::No };
        cx.progress(cx.innermost(), Some(f64::from(percent)), name);
        Taken::Yes
    }
}

/// Percentage and name in `NAME:  NN%|bar| N/TOTAL [...]`; the name may be empty.
fn bar(text: &str) -> Option<(u8, &str)> {
    let (left, right) = text.split_once("%|")?;
    let name = left.trim_end_matches(|c: char| c.is_ascii_digit());
    let percent: u8 = left[name.len()..].parse().ok().filter(|percent| *percent <= 100)?;
    let name = match name.trim_end() {
        "" => "",
        name => name.strip_suffix(':')?,
    };
    let (_, counts) = right.split_once("| ")?;
    let (counts, times) = counts.split_once(" [")?;
    let (done, total) = counts.split_once('/')?;
    let is_count = |text: &str| text.trim().starts_with(|c: char| c.is_ascii_digit());
    let whole = times.trim_end().ends_with(']');
    (is_count(done) && is_count(total) && whole).then_some((percent, name))
}
