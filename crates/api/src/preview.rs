use serde::{Deserialize, Serialize};

/// A part of a text in Markdown. Text is text: nothing in it is markup any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of Markdown")]
pub enum MarkdownNode {
    Text {
        text: String,
    },
    Code {
        text: String,
    },
    CodeBlock {
        language: String,
        text: String,
    },
    LineBreak {},
    Rule {},
    Paragraph {
        children: Vec<MarkdownNode>,
    },
    Heading {
        level: u8,
        children: Vec<MarkdownNode>,
    },
    Quote {
        children: Vec<MarkdownNode>,
    },
    /// `start`: the first number; null: bullets.
    List {
        start: Option<u64>,
        children: Vec<MarkdownNode>,
    },
    /// `checked`: of a task list.
    Item {
        checked: Option<bool>,
        children: Vec<MarkdownNode>,
    },
    Emphasis {
        children: Vec<MarkdownNode>,
    },
    Strong {
        children: Vec<MarkdownNode>,
    },
    Strike {
        children: Vec<MarkdownNode>,
    },
    /// `href` begins with `http:`, `https:` or `mailto:`.
    Link {
        href: String,
        children: Vec<MarkdownNode>,
    },
    /// To an artifact of the same execution, by its id.
    ArtifactLink {
        artifact: String,
        children: Vec<MarkdownNode>,
    },
    /// An image that is an artifact of the same execution.
    Image {
        artifact: String,
        alt: String,
    },
    /// `align`: `left`, `center`, `right` or empty for each column. The first row is the head.
    Table {
        align: Vec<String>,
        rows: Vec<Vec<Vec<MarkdownNode>>>,
    },
}

/// A name in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArchiveEntry {
    /// As the archive has it; controls are shown as symbols.
    pub name: String,
    /// Bytes when unpacked.
    pub size: u64,
}

/// `GET /api/artifacts/{aid}/preview`: what can be shown of it without harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactPreview {
    /// The artifact.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// There is more than what stands here.
    pub truncated: bool,
    /// What stands here.
    pub content: PreviewContent,
}

/// What a preview shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PreviewContent {
    /// The beginning, as text; invalid UTF-8 is replaced.
    Text {
        /// The text.
        text: String,
    },
    /// The parts of a text in Markdown.
    Markdown {
        /// In order.
        nodes: Vec<MarkdownNode>,
    },
    /// A table; the first row may be a head.
    Csv {
        /// What stands between fields: `,`, `;`, a tab or `|`.
        delimiter: String,
        /// Rows from `from_row` on.
        rows: Vec<Vec<String>>,
        /// The number of the first one, from 0.
        from_row: u64,
    },
    /// One value.
    Json {
        /// The value.
        #[cfg_attr(feature = "ts", ts(type = "unknown"))]
        value: serde_json::Value,
    },
    /// A value in each line.
    JsonLines {
        /// The values, in order.
        #[cfg_attr(feature = "ts", ts(type = "Array<unknown>"))]
        values: Vec<serde_json::Value>,
    },
    /// To be shown as an image from the download's URL.
    Image {
        /// Its type.
        mime: String,
        /// Pixels; null: not known.
        width: Option<u32>,
        /// Pixels; null: not known.
        height: Option<u32>,
    },
    /// To be played from the download's URL.
    Media {
        /// Its type.
        mime: String,
    },
    /// A document for the browser, never shown as a part of the page.
    Html {},
    /// Names in an archive; nothing is unpacked.
    Archive {
        /// `zip`, `tar` or `tar.gz`.
        format: String,
        /// The first ones.
        entries: Vec<ArchiveEntry>,
    },
    /// The first bytes, two hexadecimal digits each.
    Hex {
        /// The digits.
        hex: String,
    },
}
