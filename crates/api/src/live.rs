use serde::{Deserialize, Serialize};
use stepflow_model::ExecutionId;

use crate::{Annotation, Artifact, Cursor, Execution, Line, Problem, Statistics, Step};

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// All executions: what lists show.
    Executions,
    /// One execution.
    Execution,
}

/// What a client says over `/ws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Begin to send.
    Subscribe {
        /// A number that the client picks.
        sub: u64,
        /// What to send.
        topic: Topic,
        /// Of which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "ts", ts(as = "Option<String>", optional))]
        #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Id>"))]
        id: Option<ExecutionId>,
        /// What the client has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "ts", ts(optional))]
        cursor: Option<Cursor>,
        /// Send the lines as well.
        #[serde(default)]
        #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
        lines: bool,
    },
    /// Send no more.
    Unsubscribe {
        /// The number.
        sub: u64,
    },
    /// Asks for a pong.
    Ping {},
}

/// What the server says over `/ws`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "op", rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub enum ServerMessage {
    Hello {
        version: String,
    },
    Pong {},
    Error {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "ts", ts(optional))]
        sub: Option<u64>,
        problem: Problem,
    },
    Execution {
        sub: u64,
        execution: Box<Execution>,
    },
    Statistics {
        sub: u64,
        statistics: Statistics,
    },
    State {
        sub: u64,
        cursor: Cursor,
        execution: Box<Execution>,
        steps: Vec<Step>,
        artifacts: Vec<Artifact>,
        annotations: Vec<Annotation>,
    },
    Update {
        sub: u64,
        cursor: Cursor,
        execution: Box<Execution>,
        steps: Vec<Step>,
        artifacts: Vec<Artifact>,
        annotations: Vec<Annotation>,
    },
    Position {
        sub: u64,
        lines: u64,
        bytes: u64,
        seq: u64,
        cursor: Cursor,
        ended: bool,
    },
    Lines {
        sub: u64,
        cursor: Cursor,
        lines: Vec<Line>,
    },
    End {
        sub: u64,
        cursor: Cursor,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_messages_are_those_of_the_contract() {
        let id = "0198c2aa-0000-7000-8000-000000000001";
        let good = [
            r#"{"op":"subscribe","sub":1,"topic":"executions"}"#.to_owned(),
            format!(
                r#"{{"op":"subscribe","sub":2,"topic":"execution","id":"{id}","cursor":"5.1","lines":false}}"#
            ),
            r#"{"op":"unsubscribe","sub":2}"#.to_owned(),
            r#"{"op":"ping"}"#.to_owned(),
        ];
        for text in good {
            assert!(serde_json::from_str::<ClientMessage>(&text).is_ok(), "{text}");
        }
        for text in [
            r#"{"op":"subscribe","sub":1}"#,
            r#"{"op":"bogus"}"#,
            r#"{"op":"subscribe","sub":1,"topic":"execution","id":"../x"}"#,
        ] {
            assert!(serde_json::from_str::<ClientMessage>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&ServerMessage::Pong {}).unwrap(), r#"{"op":"pong"}"#);
    }
}
