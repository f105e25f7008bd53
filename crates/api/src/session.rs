use serde::{Deserialize, Serialize};

/// `POST /api/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// From the link that the server printed, or from `stepflow open`.
    pub code: String,
}

/// `GET /api/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Always true: others get 401.
    pub authenticated: bool,
    /// `cookie`, `token`, `socket` or `off`.
    #[cfg_attr(feature = "ts", ts(type = "'cookie' | 'token' | 'socket' | 'off'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["cookie", "token", "socket", "off"])))]
    pub kind: String,
}

/// `POST /api/login-code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginUrl {
    /// Good once, for 10 minutes.
    pub url: String,
}

/// `POST /api/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// What it is for, for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 256)))]
    pub name: String,
    /// `operator` or `viewer`.
    #[cfg_attr(feature = "ts", ts(type = "'operator' | 'viewer'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["operator", "viewer"])))]
    pub scope: String,
    /// Useless after this many seconds; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 316_224_000)))]
    pub expires_in_s: Option<u64>,
}

/// A token as lists show it: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenInfo {
    /// For revoking it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    #[cfg_attr(feature = "ts", ts(type = "'operator' | 'viewer'"))]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["operator", "viewer"])))]
    pub scope: String,
    /// Its first characters, for finding it.
    pub prefix: String,
    /// When it was made.
    pub created_at: String,
    /// When it becomes useless; null: never.
    pub expires_at: Option<String>,
    /// When it was used last, to a minute.
    pub last_used_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

/// `GET /api/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<TokenInfo>,
    /// How many.
    pub count: usize,
}

/// The answer to [`TokenCreate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenCreated {
    /// Shown this once.
    pub token: String,
    /// What is kept.
    #[serde(flatten)]
    pub info: TokenInfo,
}
