//! Markdown as a tree of text: a page makes text nodes of it. HTML is text, links lead only to the
//! web, to mail, or to artifacts of the same execution.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use stepflow_api::MarkdownNode;

/// Most nodes of a tree; what is left out is said.
const NODES_MAX: usize = 20_000;
/// Deepest nesting; what is deeper stands at this depth.
const DEPTH_MAX: usize = 32;

/// An artifact that a text may link to: its path, its id, whether it is an image.
pub(crate) type Linkable = (String, String, bool);

/// The tree of `text`, and whether something was left out.
pub(crate) fn tree(text: &str, artifacts: &[Linkable]) -> (Vec<MarkdownNode>, bool) {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut builder =
        Builder { artifacts, stack: vec![Open::new(Kind::Root)], nodes: 0, cut: false };
    for event in Parser::new_ext(text, options) {
        if builder.nodes >= NODES_MAX {
            builder.cut = true;
            break;
        }
        builder.event(event);
    }
    while builder.stack.len() > 1 {
        builder.close();
    }
    let root = builder.stack.pop().map(|open| open.children).unwrap_or_default();
    (root, builder.cut)
}

struct Builder<'a> {
    artifacts: &'a [Linkable],
    stack: Vec<Open>,
    nodes: usize,
    cut: bool,
}

/// A node whose end has not come.
struct Open {
    kind: Kind,
    children: Vec<MarkdownNode>,
    rows: Vec<Vec<Vec<MarkdownNode>>>,
    text: String,
}

enum Kind {
    Root,
    /// Shown by its children alone.
    Plain,
    Paragraph,
    Heading(u8),
    Quote,
    CodeBlock(String),
    List(Option<u64>),
    Item(Option<bool>),
    Emphasis,
    Strong,
    Strike,
    Link(String),
    ArtifactLink(String),
    Image(Option<String>),
    Table(Vec<String>),
    Row,
    Cell,
}

impl Open {
    fn new(kind: Kind) -> Self {
        Self { kind, children: Vec::new(), rows: Vec::new(), text: String::new() }
    }
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => {
                let kind = self.kind(tag);
                self.stack.push(Open::new(kind));
            }
            Event::End(TagEnd::MetadataBlock(_)) => {}
            Event::End(_) => self.close(),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => self.text(&text),
            Event::FootnoteReference(text) => self.text(&format!("[^{text}]")),
            Event::Code(text) if self.inside_text() => self.text(&text),
            Event::Code(text) => self.add(MarkdownNode::Code { text: text.into_string() }),
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak if self.inside_text() => self.text("\n"),
            Event::HardBreak => self.add(MarkdownNode::LineBreak {}),
            Event::Rule => self.add(MarkdownNode::Rule {}),
            Event::TaskListMarker(done) => {
                // It stands in the item, or in the paragraph within it.
                let item = self.stack.iter_mut().rev().find(|o| matches!(o.kind, Kind::Item(_)));
                if let Some(open) = item {
                    open.kind = Kind::Item(Some(done));
                }
            }
        }
    }

    fn kind(&self, tag: Tag<'_>) -> Kind {
        match tag {
            // HTML stands as text: its lines are kept apart from other paragraphs.
            Tag::Paragraph | Tag::HtmlBlock => Kind::Paragraph,
            Tag::Heading { level, .. } => Kind::Heading(level as u8),
            Tag::BlockQuote(_) => Kind::Quote,
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                let language = info.split([' ', ',']).next().unwrap_or_default();
                Kind::CodeBlock(language.chars().take(40).collect())
            }
            Tag::CodeBlock(CodeBlockKind::Indented) => Kind::CodeBlock(String::new()),
            Tag::List(start) => Kind::List(start),
            Tag::Item => Kind::Item(None),
            Tag::Emphasis => Kind::Emphasis,
            Tag::Strong => Kind::Strong,
            Tag::Strikethrough => Kind::Strike,
            Tag::Link { dest_url, .. } => match self.target(&dest_url) {
                Some(Target::Web(href)) => Kind::Link(href),
                Some(Target::Artifact(id, _)) => Kind::ArtifactLink(id),
                None => Kind::Plain,
            },
            Tag::Image { dest_url, .. } => match self.target(&dest_url) {
                Some(Target::Artifact(id, true)) => Kind::Image(Some(id)),
                _ => Kind::Image(None),
            },
            Tag::Table(align) => {
                let word = |align: &Alignment| match align {
                    Alignment::None => "",
                    Alignment::Left => "left",
                    Alignment::Center => "center",
                    Alignment::Right => "right",
                };
                Kind::Table(align.iter().map(|align| word(align).to_owned()).collect())
            }
            Tag::TableHead | Tag::TableRow => Kind::Row,
            Tag::TableCell => Kind::Cell,
            _ => Kind::Plain,
        }
    }

    fn target(&self, url: &str) -> Option<Target> {
        let url = url.trim();
        if let Some((scheme, _)) = url.split_once(':') {
            let known = ["http", "https", "mailto"].iter().any(|s| s.eq_ignore_ascii_case(scheme));
            let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
            return (known && clean && url.len() <= 2048).then(|| Target::Web(url.to_owned()));
        }
        let path = url.strip_prefix("./").unwrap_or(url);
        let path = path.split(['#', '?']).next().unwrap_or_default();
        self.artifacts
            .iter()
            .find(|artifact| artifact.0.strip_prefix("./").unwrap_or(&artifact.0) == path)
            .map(|artifact| Target::Artifact(artifact.1.clone(), artifact.2))
    }

    /// Whether only text counts here: code, and what stands for an image.
    fn inside_text(&self) -> bool {
        self.stack.iter().any(|open| matches!(open.kind, Kind::CodeBlock(_) | Kind::Image(_)))
    }

    fn text(&mut self, text: &str) {
        let holder = self
            .stack
            .iter_mut()
            .rfind(|open| matches!(open.kind, Kind::CodeBlock(_) | Kind::Image(_)));
        if let Some(open) = holder {
            open.text.push_str(text);
            return;
        }
        if let Some(MarkdownNode::Text { text: last }) =
            self.stack.last_mut().and_then(|open| open.children.last_mut())
        {
            last.push_str(text);
            return;
        }
        self.add(MarkdownNode::Text { text: text.to_owned() });
    }

    fn add(&mut self, node: MarkdownNode) {
        self.nodes += 1;
        if let Some(open) = self.stack.last_mut() {
            open.children.push(node);
        }
    }

    fn close(&mut self) {
        if self.stack.len() <= 1 {
            return;
        }
        let Some(Open { kind, children, rows, text }) = self.stack.pop() else { return };
        let deep = self.stack.len() > DEPTH_MAX;
        let node = match kind {
            Kind::CodeBlock(language) => MarkdownNode::CodeBlock { language, text },
            Kind::Image(Some(artifact)) => MarkdownNode::Image { artifact, alt: text },
            Kind::Image(None) => return self.text(&text),
            Kind::Table(align) => MarkdownNode::Table { align, rows },
            Kind::Row => {
                self.nodes += 1;
                if let Some(table) = self.stack.last_mut() {
                    table.rows.push(rows.into_iter().flatten().collect());
                }
                return;
            }
            Kind::Cell => {
                self.nodes += 1;
                if let Some(row) = self.stack.last_mut() {
                    row.rows.push(vec![children]);
                }
                return;
            }
            Kind::Root | Kind::Plain => return self.adopt(children),
            // What is nested too deep stands in what holds it.
            _ if deep => {
                self.cut = true;
                return self.adopt(children);
            }
            Kind::Paragraph => MarkdownNode::Paragraph { children },
            Kind::Heading(level) => MarkdownNode::Heading { level, children },
            Kind::Quote => MarkdownNode::Quote { children },
            Kind::List(start) => MarkdownNode::List { start, children },
            Kind::Item(checked) => MarkdownNode::Item { checked, children },
            Kind::Emphasis => MarkdownNode::Emphasis { children },
            Kind::Strong => MarkdownNode::Strong { children },
            Kind::Strike => MarkdownNode::Strike { children },
            Kind::Link(href) => MarkdownNode::Link { href, children },
            Kind::ArtifactLink(artifact) => MarkdownNode::ArtifactLink { artifact, children },
        };
        self.add(node);
    }

    fn adopt(&mut self, children: Vec<MarkdownNode>) {
        if let Some(open) = self.stack.last_mut() {
            open.children.extend(children);
        }
    }
}

enum Target {
    Web(String),
    Artifact(String, bool),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(text: &str) -> Value {
        let artifacts = [
            ("out/plot.png".to_owned(), "x-a1".to_owned(), true),
            ("./report.html".to_owned(), "x-a2".to_owned(), false),
        ];
        serde_json::to_value(tree(text, &artifacts).0).unwrap()
    }

    fn text(text: &str) -> Value {
        json!({"kind": "text", "text": text})
    }

    #[test]
    fn the_parts_of_a_summary_are_told_apart() {
        assert_eq!(
            of(
                "# A *b*\n\n- [x] done\n- [ ] open\n\n3. three\n\n```rust x\nlet a;\n```\n\n---\n\n> q"
            ),
            json!([
                {"kind": "heading", "level": 1, "children": [
                    text("A "), {"kind": "emphasis", "children": [text("b")]}]},
                {"kind": "list", "start": null, "children": [
                    {"kind": "item", "checked": true, "children": [text("done")]},
                    {"kind": "item", "checked": false, "children": [text("open")]}]},
                {"kind": "list", "start": 3, "children": [
                    {"kind": "item", "checked": null, "children": [text("three")]}]},
                {"kind": "code_block", "language": "rust", "text": "let a;\n"},
                {"kind": "rule"},
                {"kind": "quote", "children": [{"kind": "paragraph", "children": [text("q")]}]},
            ])
        );
        assert_eq!(
            of("|a|b|\n|:-|-:|\n|1|`x`|"),
            json!([{"kind": "table", "align": ["left", "right"], "rows": [
                [[text("a")], [text("b")]],
                [[text("1")], [{"kind": "code", "text": "x"}]]]}])
        );
    }

    #[test]
    fn links_and_images_lead_only_where_they_may() {
        let paragraph = |children: Value| json!([{"kind": "paragraph", "children": children}]);
        for (source, expected) in [
            (
                "[a](https://x.y)",
                json!([{"kind": "link", "href": "https://x.y", "children": [text("a")]}]),
            ),
            ("[a](javascript:alert(1))", json!([text("a")])),
            ("[a](JAVASCRIPT:alert(1))", json!([text("a")])),
            ("[a](data:text/html,x)", json!([text("a")])),
            ("[a](file:///etc/passwd)", json!([text("a")])),
            ("[a](//evil.example)", json!([text("a")])),
            ("[a](/api/tokens)", json!([text("a")])),
            (
                "[a](report.html#x)",
                json!([{"kind": "artifact_link", "artifact": "x-a2", "children": [text("a")]}]),
            ),
            ("![p](out/plot.png)", json!([{"kind": "image", "artifact": "x-a1", "alt": "p"}])),
            ("![p](https://x.y/track.png)", json!([text("p")])),
            ("![p](report.html)", json!([text("p")])),
        ] {
            assert_eq!(of(source), paragraph(expected), "{source}");
        }
    }

    #[test]
    fn html_is_text() {
        let found = of("<script>alert(1)</script>\n\na <b onclick=x>b</b>").to_string();
        assert!(found.contains("<script>alert(1)</script>"), "{found}");
        assert!(found.contains("<b onclick=x>"), "{found}");
        assert!(!found.contains("\"kind\":\"html"), "{found}");
    }

    #[test]
    fn hostile_sizes_are_bounded() {
        let (_, cut) = tree(&"* a\n".repeat(30_000), &[]);
        assert!(cut);
        let (deep, cut) = tree(&format!("{}x", "> ".repeat(5_000)), &[]);
        assert!(cut);
        let mut depth = 0;
        let mut at = &deep;
        while let Some(MarkdownNode::Quote { children }) = at.first() {
            depth += 1;
            at = children;
        }
        assert!(depth <= DEPTH_MAX + 1, "{depth}");
    }
}
