//! Tests: of an execution, one of them, and one over the executions of a name.

use std::sync::PoisonError;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{TestDetail, TestHistory, TestList};
use stepflow_catalog::{CatalogError, TEST_RUNS_MAX};
use stepflow_model::{
    ExecutionId,
    results::{Verdict, test_key},
};

use crate::{
    app::App,
    extract::{Id, Params},
    problem::Problem,
    results::{ResultsError, Seen, TestMark, TestOrder, TestQuery, Whose, past},
};

/// Tests of a page unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// The query of a list of tests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct TestsParams {
    /// Of this system alone, or `all`; the one whose totals stand for all unless asked otherwise.
    dialect: Option<String>,
    /// With this verdict, or one of several with commas: `passed`, `failed`, `skipped`.
    status: Option<String>,
    /// Of which the past says this: `newly_failing`, `still_failing`, `fixed`, `flaky` or `new`.
    mark: Option<String>,
    /// With this in name, suite or message.
    text: Option<String>,
    /// `failed` (first; the usual one), `told` (as they were told of), `slowest` or `name`.
    order: Option<String>,
    /// How many at most, 100 unless asked otherwise, never over 1,000.
    limit: Option<usize>,
    /// How many to leave out first.
    offset: Option<usize>,
}

impl TestsParams {
    fn query(self) -> Result<TestQuery, Problem> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let one_of = |field: &str, words: &[&str]| {
            Problem::bad_request(format!("`{field}` must be one of {}", words.join(", ")))
        };
        let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Skipped];
        let status = given(self.status).unwrap_or_default();
        let words = status.split(',').filter(|word| !word.is_empty());
        let known = |word: &str| verdicts.into_iter().find(|verdict| verdict.as_str() == word);
        let verdicts: Option<Vec<Verdict>> = words.map(known).collect();
        let mark = match given(self.mark) {
            Some(word) => {
                Some(TestMark::from_word(&word).ok_or_else(|| one_of("mark", &TestMark::NAMES))?)
            }
            None => None,
        };
        let order = match given(self.order) {
            Some(word) => {
                TestOrder::from_word(&word).ok_or_else(|| one_of("order", &TestOrder::NAMES))?
            }
            None => TestOrder::default(),
        };
        Ok(TestQuery {
            dialect: given(self.dialect),
            verdicts: verdicts.ok_or_else(|| one_of("status", &["passed", "failed", "skipped"]))?,
            mark,
            text: given(self.text),
            order,
            offset: self.offset.unwrap_or(0),
            limit: self.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
        })
    }
}

/// `GET /api/executions/{id}/tests`.
pub(crate) async fn list(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<TestsParams>,
) -> Result<Json<TestList>, Problem> {
    let query = params.query()?;
    read(&app, id, move |seen, whose, _| Ok(Some(seen.list(whose, &query)))).await?.ok_or_else(none)
}

/// `GET /api/executions/{id}/tests/{index}`.
pub(crate) async fn one(
    State(app): State<App>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<Json<TestDetail>, Problem> {
    let Path((id, index)) = path.map_err(|_| Problem::execution_unknown(""))?;
    let id: ExecutionId = id.parse().map_err(|_| Problem::execution_unknown(&id))?;
    let index: u32 = index.parse().map_err(|_| none())?;
    read(&app, id, move |seen, whose, reader| seen.detail(whose, index, Some(reader)))
        .await?
        .ok_or_else(none)
}

/// The query of one test's history.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct HistoryParams {
    /// The name of the executions. Required.
    name: String,
    /// The test's name. Required.
    test: String,
    /// What it is part of.
    suite: Option<String>,
    /// How many executions at most; the usual and the highest number is 50.
    limit: Option<u32>,
}

/// `GET /api/tests`.
pub(crate) async fn history(
    State(app): State<App>,
    Params(params): Params<HistoryParams>,
) -> Result<Json<TestHistory>, Problem> {
    let HistoryParams { name, test, suite, limit } = params;
    let suite = suite.filter(|suite| !suite.is_empty());
    let (of, key) = (name.clone(), test_key(suite.as_deref(), &test));
    let limit = limit.unwrap_or(TEST_RUNS_MAX).min(TEST_RUNS_MAX);
    let found = app.engine.query(move |reader| reader.test_history(&of, key, None, limit)).await?;
    let history: Vec<_> = found.into_iter().map(past).collect();
    let count = history.len() as u32;
    Ok(Json(TestHistory { name, suite, test, history, count, status: 200 }))
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "test-unknown", "there is no such test")
        .hint("`index` is that of a test in `GET /api/executions/{id}/tests`")
}

/// Looks at the tests of an execution, on a blocking thread.
async fn read<T: Send + 'static>(
    app: &App,
    id: ExecutionId,
    look: impl FnOnce(&Seen, &Whose, &stepflow_catalog::Reader) -> Result<Option<T>, ResultsError>
    + Send
    + 'static,
) -> Result<Option<Json<T>>, Problem> {
    let handle = app.engine.execution(id).await?;
    let app_here = app.clone();
    let found = app.engine.query(move |reader| {
        let whose = handle.read(Whose::of);
        let seen = app_here.results.of(app_here.engine.storage(), id);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = seen.refresh(&whose, Some(reader)).and_then(|()| look(&seen, &whose, reader));
        match looked {
            Ok(found) => Ok(Ok(found)),
            Err(ResultsError::Record(error)) => Ok(Err(error)),
            Err(ResultsError::Catalog(error)) => Err::<_, CatalogError>(error),
        }
    });
    Ok(found.await??.map(Json))
}
