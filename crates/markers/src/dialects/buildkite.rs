//! Buildkite groups, inline links and images.
//!
//! Source: Buildkite docs, "Managing log output"; `buildkite/terminal-to-html`, `element.go`.

use super::{
    Context, Dialect, Line, StepStatus, Taken, Watch, tree::Label, watch::Needle, words::some,
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Buildkite { armed: hinted })
}

struct Buildkite {
    /// Headers count: a diff has lines that look alike.
    armed: bool,
}

/// What is no header even then: diffs and the results of Go tests.
const NO_HEADERS: [&str; 7] = ["a/", "b/", "/dev/null", "PASS: ", "FAIL: ", "SKIP: ", "BENCH: "];

impl Dialect for Buildkite {
    fn watch(&self) -> Watch {
        Watch::none().begins(&["---", "+++", "~~~", "^^^ +++"]).needle(Needle::Inline)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if text.trim_end() == "^^^ +++" {
            self.armed = true;
            if let Some(step) = cx.find_kind("group") {
                cx.meta_on(Some(step), "expand", "true", None);
            }
            return Taken::Yes;
        }
        if let Some((marker, name)) = header(text) {
            self.armed |= marker == "---" && is_emoji(name);
            if self.armed {
                open(marker, name, cx);
                return Taken::Yes;
            }
        }
        self.inline(line, cx)
    }
}

impl Buildkite {
    fn inline(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let mut taken = Taken::No;
        for (at, _) in line.raw().match_indices("\x1b]133") {
            let rest = &line.raw()[at + "\x1b]133".len()..];
            let (image, rest) = match (rest.strip_prefix("8;"), rest.strip_prefix("9;")) {
                (Some(rest), _) => (true, rest),
                (_, Some(rest)) => (false, rest),
                _ => continue,
            };
            let Some(end) = rest.find(['\x07', '\x1b']) else { break };
            if rest[end..].starts_with('\x1b') && !rest[end..].starts_with("\x1b\\") {
                continue;
            }
            let fields = fields(&rest[..end]);
            let get = |key: &str| fields.iter().rfind(|(k, _)| k == key).map(|(_, v)| v.as_str());
            let Some(url) = get("url").filter(|url| !url.is_empty()) else { continue };
            let label = get(if image { "alt" } else { "content" }).unwrap_or_default();
            if let Some(path) = url.strip_prefix("artifact://") {
                cx.artifact(path, label);
            } else {
                let key = if image { "image" } else { "link" };
                cx.meta_on(cx.innermost(), key, url, some(label));
            }
            taken = Taken::Yes;
        }
        if taken == Taken::Yes {
            self.armed = true;
            if !line.visible().trim().is_empty() {
                cx.log(line.visible());
            }
        }
        taken
    }
}

fn open(marker: &str, name: &str, cx: &mut Context<'_>) {
    if let Some(step) = cx.find_kind("group") {
        cx.end(step, StepStatus::Done, None);
    }
    let style = match marker {
        "---" => "collapsed",
        "+++" => "expanded",
        _ => "muted",
    };
    let name = if name.is_empty() { marker } else { name };
    cx.start(Label::new("group", ""), name, vec![("style".to_owned(), style.to_owned())]);
}

/// The marker and the name of a line that may be a header.
fn header(text: &str) -> Option<(&str, &str)> {
    let marker = text.get(..3).filter(|marker| matches!(*marker, "---" | "+++" | "~~~"))?;
    let rest = &text[3..];
    let name = rest.trim();
    let apart = rest.is_empty() || rest.starts_with(' ');
    let other = text.contains('\t') || NO_HEADERS.iter().any(|start| name.starts_with(start));
    (apart && !other).then_some((marker, name))
}

/// `:emoji: text`: nothing else begins like that.
fn is_emoji(name: &str) -> bool {
    let Some((emoji, text)) = name.strip_prefix(':').and_then(|name| name.split_once(": ")) else {
        return false;
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    !emoji.is_empty() && emoji.chars().all(is_word) && !text.trim().is_empty()
}

/// `key=value` with semicolons between; `\;` is one in a value.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next_if_eq(&';').is_some() => push(&mut fields, ';'),
            ';' => fields.push(String::new()),
            '<' | '>' | '\'' | '"' => {}
            c => push(&mut fields, c),
        }
    }
    let pair = |field: String| {
        field.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
    };
    fields.into_iter().filter_map(pair).collect()
}

fn push(fields: &mut [String], c: char) {
    if let Some(field) = fields.last_mut() {
        field.push(c);
    }
}
