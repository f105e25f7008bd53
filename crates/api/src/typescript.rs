//! The wire as one file of TypeScript: `web/src/lib/api/types.ts`.
//!
//! The types say most of it themselves, by derive; here are the words that they hold as text, the
//! list of what the file has, and a layout that people can read.

use stepflow_model as model;
use ts_rs::{Config, TS};

const HEADER: &str = "\
// Generated from crates/api by `cargo xtask codegen`; do not edit.
// docs/reference/api.md describes it. Times are RFC 3339 in UTC with microseconds; durations are
// seconds.
";

/// The longest line that stays one.
const WIDTH: usize = 100;

/// A union of the domain's words, for fields that hold one of them as text.
macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident = $words:expr;)+) => {
        $($(#[doc = $doc])* pub(crate) struct $name;

        impl TS for $name {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn docs() -> Option<String> {
                Some(concat!("/**\n", $(" *", $doc, "\n",)* " */\n").to_owned())
            }

            fn name(_: &Config) -> String {
                stringify!($name).to_owned()
            }

            fn inline(_: &Config) -> String {
                let words: Vec<String> = $words.map(|word| format!("\"{word}\"")).collect();
                words.join(" | ")
            }

            fn decl(cfg: &Config) -> String {
                format!("type {} = {};", Self::name(cfg), Self::inline(cfg))
            }
        })+
    };
}

words! {
    /// Where an execution stands.
    Status = model::Status::ALL.iter();
    /// Where a step stands.
    StepStatus = model::StepStatus::ALL.iter();
    /// Why an execution failed or was cancelled.
    Reason = model::Reason::ALL.iter();
    /// Which of the script's streams bytes came from.
    Stream = model::Stream::ALL.iter();
    /// By which way an execution came in.
    Source = model::Source::ALL.iter();
}

/// All types that cross the wire, as the text of a TypeScript module.
pub fn typescript() -> String {
    let cfg = &Config::new().with_large_int("number");
    macro_rules! declarations {
        ($($name:ident)+) => { [$(declaration::<crate::$name>(cfg)),+] };
    }
    let words = [
        declaration::<Status>(cfg),
        declaration::<StepStatus>(cfg),
        declaration::<Reason>(cfg),
        declaration::<Stream>(cfg),
        declaration::<Source>(cfg),
    ];
    let types = declarations!(
        Cursor Execution Step Artifact Pointed Annotation DetectedDialect SummaryText TestCounts Told
        TestSince TestResult TestMarks TestList TestTry TestPast TestDetail TestHistory
        LogLevel LevelSource LineView Dropped Line FilteredLines LogRange LevelCounts ErrorLine StepLines
        StepRange LogGap LogMeta LogRows LogDensity LogError LogErrors SearchHit StepHits LogSearch
        ContextLine FoundLine SearchFound SearchProgress SearchEvent UsualStep Usual Moment Terminal ExecutionSpec MarkdownNode ArchiveEntry PreviewContent ArtifactPreview Statistics
        OverviewPart Overview StripEntry Strip StripList
        ExecutionList ActiveExecution ActiveList ExecutionDetail ArtifactList
        Command LogSync Containment Leftover LogFull OnDiskFull Emulation CreateRequest RerunRequest LabelRequest
        CreateAnswer IngestAnswer CancelAnswer DeleteAnswer
        SavedSearch SavedSearchList SavedSearchRequest Problem
        LoginRequest Session LoginUrl TokenCreate TokenInfo TokenList TokenCreated Health
        Component Components HealthStatus Latency ProcessMetrics ExecutionMetrics HttpMetrics
        ViewerMetrics DatabaseFile DatabaseMetrics HealthMetrics Finding HealthDatabase Optimized
        HealthSample HealthHistory SupportBundle
        StatisticsPart WeekHour StepStatistics RangeStatistics
        Topic ClientMessage ServerMessage
    );
    let mut text = HEADER.to_owned();
    for declaration in words.iter().chain(&types) {
        text.push('\n');
        text.push_str(declaration);
    }
    text
}

/// One exported type, with what its documentation says.
fn declaration<T: TS>(cfg: &Config) -> String {
    let docs = T::docs().unwrap_or_default();
    let decl = T::decl(cfg);
    let decl = decl.trim_end().trim_end_matches(';');
    let (head, body) = decl.split_once(" = ").expect("`type Name = …`");
    let head = format!("export {head} =");
    let members: Vec<&str> = split(body, '|').collect();
    let flat = members.iter().map(|&member| on_one_line(member)).collect::<Option<Vec<_>>>();
    let body = match (flat.map(|flat| flat.join(" | ")), members.as_slice()) {
        (_, [object]) if object.starts_with('{') => format!(" {}", on_many_lines(object, "")),
        (Some(flat), _) if head.len() + flat.len() + 2 <= WIDTH => format!(" {flat}"),
        _ => members.iter().fold(String::new(), |body, member| {
            let flat = on_one_line(member).filter(|flat| flat.len() + 5 <= WIDTH);
            let member = flat.unwrap_or_else(|| on_many_lines(member, "    "));
            body + "\n  | " + &member
        }),
    };
    format!("{}{head}{body};\n", comment(&docs, ""))
}

/// A member of a union in one line, unless it has comments.
fn on_one_line(member: &str) -> Option<String> {
    let Some(fields) = fields(member) else { return Some(quoted(member)) };
    let fields: Vec<String> = fields
        .map(|(docs, field)| docs.is_empty().then(|| quoted(field)))
        .collect::<Option<_>>()?;
    Some(format!("{{ {} }}", fields.join("; ")))
}

/// An object with a line for each field and its comment.
fn on_many_lines(object: &str, indent: &str) -> String {
    let inner = format!("{indent}  ");
    let mut text = "{\n".to_owned();
    for (docs, field) in fields(object).into_iter().flatten() {
        text.push_str(&format!("{}{inner}{};\n", comment(docs, &inner), quoted(field)));
    }
    text + indent + "}"
}

/// The fields of an object type, each after its comment.
fn fields(object: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let inner = object.strip_prefix('{')?.strip_suffix('}')?;
    let fields = split(inner, ',').filter(|field| !field.is_empty());
    Some(fields.map(|field| match field.rsplit_once("*/") {
        Some((docs, field)) => (docs, field.trim()),
        None => ("", field),
    }))
}

/// `docs` as a comment of one line if it has one; links lose their brackets.
fn comment(docs: &str, indent: &str) -> String {
    let lines: Vec<String> = docs
        .lines()
        .map(|line| line.trim().trim_start_matches("/**").trim_start_matches("*/"))
        .map(|line| line.trim_start_matches('*').trim().replace("[`", "`").replace("`]", "`"))
        .collect();
    let text = lines.join("\n");
    let text = text.trim_matches('\n');
    if text.is_empty() {
        return String::new();
    }
    if !text.contains('\n') {
        return format!("{indent}/** {text} */\n");
    }
    let lines: String = text
        .lines()
        .map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n")
        .collect();
    format!("{indent}/**\n{lines}{indent} */\n")
}

/// Names without quotes, words in single ones.
fn quoted(text: &str) -> String {
    let text = match text.strip_prefix('"').and_then(|rest| rest.split_once("\":")) {
        Some((name, kind)) => format!("{name}:{kind}"),
        None => text.to_owned(),
    };
    text.replace('"', "'")
}

/// The parts between those `separator`s that stand in no bracket, text or comment.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut depth, mut quote, mut in_comment, mut before) = (0_i32, None, false, ' ');
    let parts = text.split(move |c: char| {
        let pair = (before, c);
        before = c;
        match (in_comment, quote, c) {
            (true, ..) => in_comment = pair != ('*', '/'),
            (_, Some(open), _) => quote = Some(open).filter(|&open| open != c),
            (.., '*') if pair == ('/', '*') => in_comment = true,
            (.., '"' | '\'') => quote = Some(c),
            (.., '{' | '<' | '(' | '[') => depth += 1,
            (.., '}' | '>' | ')' | ']') => depth -= 1,
            _ => return depth == 0 && c == separator,
        }
        false
    });
    parts.map(str::trim)
}
