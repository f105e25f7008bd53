use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::ExecutionId;

/// What to run, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(untagged, expecting = "`command` must be a string or a list of strings")]
pub enum Command {
    /// One text, split by shell quoting, or given to a shell with `shell`.
    Text(String),
    /// The argument vector, taken as it is.
    Args(Vec<String>),
}

/// `POST /api/executions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "ts", ts(optional_fields))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct CreateRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(as = "Command"))] // without it, a problem says so
    pub command: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "Record<string, string>", optional))]
    pub environment: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>", optional))]
    pub metadata: Option<Map<String, Value>>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_stderr: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// The answer to [`CreateRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct CreateAnswer {
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub id: ExecutionId,
    /// The same again, as documented by the original.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub execution_id: ExecutionId,
    #[cfg_attr(feature = "ts", ts(as = "crate::typescript::Status"))]
    pub status: String,
    pub message: String,
    pub name: String,
    pub created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_text_or_a_list_and_nothing_else() {
        let parse = |text: &str| serde_json::from_str::<CreateRequest>(text);
        assert_eq!(
            parse(r#"{"command":"a b"}"#).unwrap().command,
            Some(Command::Text("a b".to_owned()))
        );
        assert!(parse(r#"{"command":["a"],"timeout":1.5,"name":null}"#).is_ok());
        for bad in [r#"{"command":1}"#, r#"{"command":[1]}"#, r#"{"comand":"a"}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse(r#"{"command":7}"#).unwrap_err().to_string();
        assert!(error.contains("a string or a list of strings"), "{error}");
    }
}
