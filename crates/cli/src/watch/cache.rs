//! Lines that are held: pages of 512, the ones looked at last, a bounded number of them.

use std::collections::VecDeque;

use stepflow_api::Line;

/// Lines of a page.
pub const PAGE: u64 = 512;
/// Pages that are held, and the text in them: both bound memory for any log. What is on the screen
/// is held in any case: two pages of 512 lines of 16 KiB.
pub const PAGES_MAX: usize = 16;
pub const TEXT_BYTES_MAX: usize = 24 << 20;

/// Lines by their place in the document: their number, or their rank among those that a filter
/// lets through; both from 1.
#[derive(Debug, Default)]
pub struct Cache {
    /// The one looked at last is last.
    pages: VecDeque<Page>,
}

#[derive(Debug)]
struct Page {
    number: u64,
    lines: Vec<Line>,
    /// What there is of a line that has no end yet: shown, and asked for again.
    half: Option<Line>,
    asked: bool,
}

/// What is missing: lines from this place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    pub from: u64,
    pub count: usize,
}

impl Cache {
    /// The line at `place`.
    pub fn line(&self, place: u64) -> Option<&Line> {
        let number = place.checked_sub(1)? / PAGE;
        let page = self.pages.iter().find(|page| page.number == number)?;
        let at = ((place - 1) % PAGE) as usize;
        page.lines.get(at).or(page.half.as_ref().filter(|_| at == page.lines.len()))
    }

    /// What has to be asked for so that the lines `from` to `to` of `total` are there. Says so once.
    pub fn missing(&mut self, from: u64, to: u64, total: u64) -> Vec<Missing> {
        let mut missing = Vec::new();
        let to = to.min(total);
        if from == 0 || from > to {
            return missing;
        }
        let wanted_pages = ((to - 1) / PAGE - (from - 1) / PAGE + 1) as usize;
        for number in (from - 1) / PAGE..=(to - 1) / PAGE {
            let mut page = match self.pages.iter().position(|page| page.number == number) {
                Some(at) => self.pages.remove(at),
                None => None,
            }
            .unwrap_or(Page { number, lines: Vec::new(), half: None, asked: false });
            let first = number * PAGE + 1;
            let there = page.lines.len() as u64;
            let wanted = (total + 1 - first).min(PAGE);
            if there < wanted && !page.asked {
                page.asked = true;
                let count = (PAGE - there) as usize;
                missing.push(Missing { from: first + there, count });
            }
            self.pages.push_back(page);
        }
        while self.pages.len() > PAGES_MAX
            || (self.text_bytes() > TEXT_BYTES_MAX && self.pages.len() > wanted_pages)
        {
            self.pages.pop_front();
        }
        missing
    }

    /// Takes lines that stand one behind the other from `place` on. `ended`: none of them will
    /// change.
    pub fn take(&mut self, place: u64, lines: Vec<Line>, ended: bool) {
        let number = (place - 1) / PAGE;
        let Some(page) = self.pages.iter_mut().find(|page| page.number == number) else { return };
        page.asked = false;
        let at = ((place - 1) % PAGE) as usize;
        if at <= page.lines.len() {
            page.lines.truncate(at);
            page.lines.extend(lines);
            page.lines.truncate(PAGE as usize);
            page.half = None;
            if !ended && page.lines.last().is_some_and(|line| line.partial) {
                page.half = page.lines.pop();
                page.asked = true;
            }
        }
    }

    /// An answer did not come, or the log has grown: what is not there may be asked for again.
    pub fn ask_again(&mut self) {
        for page in &mut self.pages {
            page.asked = false;
        }
    }

    /// Forgets everything: it is another document.
    pub fn clear(&mut self) {
        self.pages.clear();
    }

    /// Bytes of text that are held.
    pub fn text_bytes(&self) -> usize {
        let lines = self.pages.iter().flat_map(|page| page.lines.iter().chain(&page.half));
        lines.map(held_by).sum()
    }

    /// Lines that are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.pages.iter().map(|page| page.lines.len() + usize::from(page.half.is_some())).sum()
    }

    #[cfg(test)]
    fn pages(&self) -> usize {
        self.pages.len()
    }
}

fn held_by(line: &Line) -> usize {
    let shown = line.view.as_ref().and_then(|view| view.shown.as_ref());
    line.text.len() + shown.map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u64) -> Line {
        Line {
            n,
            t: "2026-11-22T20:00:00.000000Z".to_owned(),
            stream: stepflow_model::Stream::Stdout,
            offset: 0,
            bytes: 0,
            text: n.to_string(),
            partial: false,
            continued: false,
            lossy: false,
            rest: 0,
            step: None,
            dropped: None,
            view: None,
        }
    }

    #[test]
    fn pages_are_asked_for_once_and_held_in_a_bounded_number() {
        let mut cache = Cache::default();
        let total = 1_000_000;
        assert_eq!(
            cache.missing(500, 520, total),
            [Missing { from: 1, count: 512 }, Missing { from: 513, count: 512 }]
        );
        assert_eq!(cache.missing(500, 520, total), []);
        cache.take(513, (513..=1024).map(line).collect(), false);
        assert_eq!(cache.line(520).map(|line| line.n), Some(520));
        assert_eq!(cache.line(500), None);
        // A short answer: what is behind it is asked for.
        cache.take(1, (1..=10).map(line).collect(), false);
        assert_eq!(cache.missing(1, 20, total), [Missing { from: 11, count: 502 }]);
        for at in 0..100 {
            cache.missing(at * PAGE + 1, at * PAGE + 1, total);
        }
        assert_eq!(cache.pages(), PAGES_MAX);
        assert_eq!(cache.line(520), None);
    }

    #[test]
    fn a_log_that_grows_is_asked_for_what_is_new() {
        let mut cache = Cache::default();
        assert_eq!(cache.missing(1, 3, 3), [Missing { from: 1, count: 512 }]);
        cache.take(1, (1..=3).map(line).collect(), false);
        assert_eq!(cache.missing(1, 5, 3), []);
        assert_eq!(cache.missing(1, 5, 5), [Missing { from: 4, count: 509 }]);
        cache.take(4, vec![line(4), Line { partial: true, ..line(5) }], false);
        assert!(cache.line(5).is_some_and(|line| line.partial), "a half line is shown");
        assert_eq!(cache.missing(1, 5, 5), [], "and asked for when there is news");
        cache.ask_again();
        assert_eq!(cache.missing(1, 5, 5), [Missing { from: 5, count: 508 }]);
    }
}
