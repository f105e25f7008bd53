use serde::{Deserialize, Serialize};

/// A query of the list that somebody saved for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SavedSearch {
    /// Its name; no two are the same.
    pub name: String,
    /// As written in the page's query line.
    pub query: String,
    /// When it was saved.
    pub saved_at: String,
}

/// `GET /api/searches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SavedSearchList {
    /// By name.
    pub searches: Vec<SavedSearch>,
}

/// `PUT /api/searches/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SavedSearchRequest {
    /// What to look for, as written in the page's query line.
    pub query: String,
}
