use serde::{Deserialize, Serialize};

/// `POST /api/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// From the link that the server printed, or from `stepflow open`.
    pub code: String,
}

/// `GET /api/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Session {
    /// Always true: others get 401.
    pub authenticated: bool,
    /// `cookie`, `token`, `socket` or `off`.
    #[cfg_attr(feature = "ts", ts(type = "'cookie' | 'token' | 'socket' | 'off'"))]
    pub kind: String,
}

/// `POST /api/login-code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LoginUrl {
    /// Good once, for 10 minutes.
    pub url: String,
}

/// `POST /api/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// What it is for, for people.
    pub name: String,
    /// `operator` or `viewer`.
    #[cfg_attr(feature = "ts", ts(type = "'operator' | 'viewer'"))]
    pub scope: String,
    /// Useless after this many seconds; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub expires_in_s: Option<u64>,
}

/// A token as lists show it: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct TokenInfo {
    pub id: String,
    pub name: String,
    #[cfg_attr(feature = "ts", ts(type = "'operator' | 'viewer'"))]
    pub scope: String,
    pub prefix: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub revoked_at: Option<String>,
}

/// `GET /api/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<TokenInfo>,
    /// How many.
    pub count: usize,
}

/// The answer to [`TokenCreate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenCreated {
    /// Shown this once.
    pub token: String,
    /// What is kept.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// `GET /api/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Health {
    /// `healthy` or `unhealthy`.
    #[cfg_attr(feature = "ts", ts(type = "'healthy' | 'unhealthy'"))]
    pub status: String,
    /// `StepFlow Monitor`.
    pub service: String,
    /// Now.
    pub timestamp: String,
    /// Of the program.
    pub version: String,
}
