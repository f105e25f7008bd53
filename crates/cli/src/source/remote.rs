//! A server, over TCP or its Unix socket.

use std::{
    fmt::Write as _,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stepflow_api::{
    ActiveList, ExecutionDetail, ExecutionList, LogMeta, LogRange, LogSearch,
    RetentionSweepRequest, RetentionSwept, SearchEvent, SearchProgress, TestList, rfc3339,
};
use stepflow_catalog::Order;
use stepflow_client::{ClientError, Server, Target};
use stepflow_model::ExecutionId;
use stepflow_server::TestQuery;

use super::{Find, FindAll, From, Lines, Query, Source};
use crate::{failure::Failure, format, text::why};

/// Pages of a list that are looked through for a part of an id.
const PAGES_MAX: u32 = 100;
/// A server that is followed is asked this often, while little comes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Hits of one answer of a search over many logs.
const HITS_AT_ONCE: usize = 5_000;
/// A search that must wait for others is asked for again so often, and after so long.
const TURNS_MAX: u32 = 20;
const TURN_AFTER: Duration = Duration::from_secs(1);

/// The server.
pub struct Remote {
    server: Server,
    has_token: bool,
    away: bool,
}

impl Remote {
    pub fn new(target: Target, token: Option<String>) -> Self {
        let has_token = token.is_some();
        Self { server: Server::new(target, token), has_token, away: false }
    }

    fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let answer = self.server.get(path);
        let answer = self.understood(answer)?;
        self.read(answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: Value) -> Result<T, Failure> {
        serde_json::from_value(answer).map_err(|error| {
            Failure::new(why::answers_otherwise(self.server.target(), error))
                .hint(why::other_version())
        })
    }

    /// `POST`, as JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.server.post(path, body);
        self.understood(answer)
    }

    /// One sweep of what is not to be kept.
    pub fn sweep(&mut self, request: &RetentionSweepRequest) -> Result<RetentionSwept, Failure> {
        let answer = self.post("/api/retention/sweep", &json!(request))?;
        self.read(answer)
    }

    /// The page itself.
    pub fn root(&self) -> Option<String> {
        match self.server.target() {
            Target::Socket(_) => None,
            target @ Target::Tcp { .. } => Some(format!("{target}/")),
        }
    }

    fn understood<T>(&mut self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        self.away = answer.as_ref().is_err_and(ClientError::may_pass);
        answer.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &ClientError) -> Failure {
        let failure = Failure::from_error(error);
        match error {
            ClientError::NoServer { .. } => failure.hint(why::is_it_running_there()),
            ClientError::Refused { status: 401, .. } if self.has_token => {
                failure.hint(why::wrong_token())
            }
            ClientError::Refused { status: 401, .. } => failure.hint(why::give_token()),
            ClientError::Refused { status: 403, .. } => failure.hint(why::may_only_look()),
            ClientError::Refused { hint: Some(hint), .. } => failure.hint(hint.clone()),
            _ => failure,
        }
    }

    /// Ids that begin with `text` were made within this time, if they are our own.
    fn looks_through(&mut self, query: Query, text: &str) -> Result<Vec<ExecutionId>, Failure> {
        let mut found = Vec::new();
        let mut query = Query { limit: 1_000, ..query };
        for _ in 0..PAGES_MAX {
            let page = self.list(&query)?;
            found.extend(page.executions.iter().map(|one| one.id).filter(|id| {
                let id = id.to_string();
                id.starts_with(text) || id.ends_with(text)
            }));
            match page.next_before {
                Some(next) if found.len() < 2 => query.before = Some(next),
                _ => return Ok(found),
            }
        }
        Err(Failure::new(why::not_among_newest(text, format::count(u64::from(PAGES_MAX) * 1_000)))
            .hint(why::whole_id()))
    }
}

/// When an id of our own that begins with `text` was made, in microseconds: ids begin with the time.
fn made_within(text: &str) -> Option<(i64, i64)> {
    let digits: String = text.chars().filter(|c| *c != '-').take(12).collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let first = i64::from_str_radix(&format!("{digits:0<12}"), 16).ok()?;
    let last = i64::from_str_radix(&format!("{digits:f<12}"), 16).ok()?;
    // Our clock and the ids' may differ by a little; no time is beyond the year 9999.
    let ceiling = 253_402_300_000_000;
    Some(((first - 2_000).clamp(0, ceiling) * 1_000, (last + 2_000).clamp(0, ceiling) * 1_000))
}

/// Text as a part of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Which executions, as parameters behind others.
fn conditions(query: &Query, path: &mut String) {
    let times = [query.since_us.map(rfc3339), query.until_us.map(rfc3339)];
    let [since, until] = times;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64().to_string());
    let code = |code: Option<i32>| code.map(|code| code.to_string());
    let without = &query.without;
    for (name, value) in [
        ("status", &query.status),
        ("user", &query.user),
        ("name", &query.name),
        ("name_contains", &query.name_contains),
        ("tag", &query.tag),
        ("exit_code", &code(query.exit_code)),
        ("source", &query.source),
        ("longer_than", &seconds(query.longer_than)),
        ("shorter_than", &seconds(query.shorter_than)),
        ("not_status", &without.status.map(|status| status.to_string())),
        ("not_user", &without.user),
        ("not_name_contains", &without.name_contains),
        ("not_tag", &without.tag),
        ("not_exit_code", &code(without.exit_code)),
        ("not_source", &without.source.map(|source| source.to_string())),
        ("since", &since),
        ("until", &until),
    ] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", encoded(value));
        }
    }
    if query.pinned {
        path.push_str("&pinned=1");
    }
}

/// Reads an answer that comes as lines of JSON.
struct Events<'a> {
    half: Vec<u8>,
    sink: &'a mut dyn FnMut(SearchEvent) -> bool,
    /// Nothing more is wanted.
    enough: bool,
    end: Option<(SearchProgress, Option<String>)>,
}

impl Write for Events<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.half.extend_from_slice(bytes);
        let Some(last) = self.half.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(bytes.len());
        };
        let rest = self.half.split_off(last + 1);
        let lines = std::mem::replace(&mut self.half, rest);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line).map_err(io::Error::other)? {
                SearchEvent::End { progress, cursor } => self.end = Some((progress, cursor)),
                event => {
                    self.enough = !(self.sink)(event);
                    if self.enough {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Remote {
    fn find(&mut self, text: &str) -> Result<ExecutionId, Failure> {
        if let Ok(id) = text.parse::<ExecutionId>() {
            return Ok(id);
        }
        if text == "last" {
            let newest = self.list(&Query { limit: 1, ..Query::default() })?;
            return newest
                .executions
                .first()
                .map(|one| one.id)
                .ok_or_else(|| Failure::new(why::nothing_has_run()).hint(why::try_run()));
        }
        if text.len() < 4 {
            return Err(Failure::new(why::too_short(text)).hint(why::ls_shows_ids()));
        }
        let mut found = Vec::new();
        if let Some((since, until)) = made_within(text) {
            let range = Query { since_us: Some(since), until_us: Some(until), ..Query::default() };
            found = self.looks_through(range, text)?;
        }
        if found.is_empty() {
            found = self.looks_through(Query::default(), text)?;
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Failure::new(why::no_execution_like(text)).hint(why::ls_shows_ids())),
            many => Err(Failure::new(why::fits_many(text, many.len())).hint(why::more_of_the_id())),
        }
    }

    fn list(&mut self, query: &Query) -> Result<ExecutionList, Failure> {
        let mut path = format!("/api/executions?limit={}", query.limit);
        conditions(query, &mut path);
        if let Some(before) = &query.before {
            let _ = write!(path, "&before={}", encoded(before));
        }
        match query.order {
            Order::Newest => {}
            Order::Longest => path.push_str("&order=longest"),
            Order::Shortest => path.push_str("&order=shortest"),
        }
        self.get(&path)
    }

    fn detail(&mut self, id: ExecutionId) -> Result<ExecutionDetail, Failure> {
        self.get(&format!("/api/executions/{id}?logs=0"))
    }

    fn tests(&mut self, id: ExecutionId, query: &TestQuery) -> Result<TestList, Failure> {
        let mut path = format!(
            "/api/executions/{id}/tests?offset={}&limit={}&order={}",
            query.offset,
            query.limit,
            query.order.as_str()
        );
        let status: Vec<_> = query.verdicts.iter().map(|verdict| verdict.as_str()).collect();
        for (name, value) in [
            ("status", (!status.is_empty()).then(|| status.join(","))),
            ("mark", query.mark.map(|mark| mark.as_str().to_owned())),
            ("text", query.text.clone()),
            ("dialect", query.dialect.clone()),
        ] {
            if let Some(value) = value {
                let _ = write!(path, "&{name}={}", encoded(&value));
            }
        }
        self.get(&path)
    }

    fn lines(&mut self, id: ExecutionId, lines: &Lines) -> Result<LogRange, Failure> {
        let mut path = format!(
            "/api/executions/{id}/log?view=1&from_line={}&limit={}",
            lines.from.max(1),
            lines.limit
        );
        if let Some(levels) = &lines.levels {
            let _ = write!(path, "&level={}&skip={}", encoded(levels), lines.skip);
        }
        self.get(&path)
    }

    fn meta(&mut self, id: ExecutionId) -> Result<LogMeta, Failure> {
        self.get(&format!("/api/executions/{id}/log/meta"))
    }

    fn search(&mut self, id: ExecutionId, find: &Find) -> Result<LogSearch, Failure> {
        let from = match &find.from {
            From::Line(line) => format!("from={line}"),
            From::Cursor(cursor) => format!("cursor={}", encoded(cursor)),
            From::Before(line) => format!("before={line}"),
        };
        self.get(&format!(
            "/api/executions/{id}/log/search?q={}&regex={}&case={}&limit={}&{from}",
            encoded(&find.text),
            u8::from(find.regex),
            u8::from(find.case),
            find.limit
        ))
    }

    fn search_all(
        &mut self,
        all: &FindAll,
        sink: &mut dyn FnMut(SearchEvent) -> bool,
    ) -> Result<(), Failure> {
        let mut asked = format!(
            "/api/search?q={}&regex={}&case={}&context={}&limit={HITS_AT_ONCE}",
            encoded(&all.text),
            u8::from(all.regex),
            u8::from(all.case),
            all.context
        );
        conditions(&all.query, &mut asked);
        if let Some(step) = &all.step {
            let _ = write!(asked, "&step={}", encoded(step));
        }
        if let Some(each) = all.each {
            let _ = write!(asked, "&each={each}");
        }
        let mut cursor: Option<String> = None;
        let mut whole = SearchProgress::default();
        let mut refused = 0;
        loop {
            let mut path = asked.clone();
            if let Some(cursor) = &cursor {
                let _ = write!(path, "&cursor={}", encoded(cursor));
            }
            let mut events =
                Events { half: Vec::new(), sink: &mut *sink, enough: false, end: None };
            let answer = self.server.copy(&path, 0, &mut events);
            let (enough, end) = (events.enough, events.end.take());
            if enough {
                return Ok(());
            }
            match answer {
                // Others are searching.
                Err(ClientError::Refused { status: 429, .. }) if refused < TURNS_MAX => {
                    refused += 1;
                    thread::sleep(TURN_AFTER);
                    continue;
                }
                answer => self.understood(answer)?,
            };
            refused = 0;
            let Some((progress, next)) = end else {
                return Err(Failure::new(why::search_broke_off()).hint(why::search_again()));
            };
            whole.total = progress.total;
            whole.done += progress.done;
            whole.scanned_bytes += progress.scanned_bytes;
            whole.skipped_bytes += progress.skipped_bytes;
            whole.hits += progress.hits;
            cursor = next;
            if cursor.is_none() {
                sink(SearchEvent::End { progress: whole, cursor: None });
                return Ok(());
            }
        }
    }

    fn raw(&mut self, id: ExecutionId, from: u64, out: &mut dyn Write) -> Result<u64, Failure> {
        let copied = self.server.copy(&format!("/api/executions/{id}/log/raw"), from, out);
        self.understood(copied)
    }

    fn artifact(&mut self, artifact: &str, out: &mut dyn Write) -> Result<u64, Failure> {
        let path = format!("/api/artifacts/{}/download", encoded(artifact));
        let copied = self.server.copy(&path, 0, out);
        self.understood(copied)
    }

    fn html(&mut self, id: ExecutionId, out: &mut dyn Write) -> Result<(), Failure> {
        let copied = self.server.copy(&format!("/api/executions/{id}/export?format=html"), 0, out);
        self.understood(copied).map(drop)
    }

    fn cancel(&mut self, id: ExecutionId) -> Result<bool, Failure> {
        match self.server.post(&format!("/api/executions/{id}/cancel"), &json!({})) {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { status: 409, .. }) => Ok(false),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn rerun(&mut self, id: ExecutionId) -> Result<ExecutionId, Failure> {
        let answer = self.post(&format!("/api/executions/{id}/rerun"), &json!({}))?;
        answer["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Failure::new(why::server_does_not_say()).hint(why::other_version()))
    }

    fn active(&mut self) -> Result<Vec<ExecutionId>, Failure> {
        let active: ActiveList = self.get("/api/executions/active")?;
        Ok(active.executions.into_iter().map(|one| one.id).collect())
    }

    fn wait(&mut self, _id: ExecutionId, timeout: Duration) -> Result<(), Failure> {
        let until = Instant::now() + timeout.min(LOOK_EVERY);
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    }

    fn is_away(&self) -> bool {
        self.away
    }

    fn page(&self, id: ExecutionId) -> Option<String> {
        match self.server.target() {
            Target::Socket(_) => None,
            target @ Target::Tcp { .. } => Some(format!("{target}/executions/{id}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_says_when_it_was_made() {
        let (since, until) = made_within("0198c2aa-1234-7").expect("hexadecimal");
        let made = 0x0198_c2aa_1234_i64 * 1_000;
        assert!(since < made && made < until && until - since < 5_000_000);
        assert_eq!(made_within("last"), None);
    }

    #[test]
    fn what_stands_in_a_query_cannot_leave_it() {
        assert_eq!(encoded("a b&c=日/?#%"), "a%20b%26c%3D%E6%97%A5%2F%3F%23%25");
    }
}
