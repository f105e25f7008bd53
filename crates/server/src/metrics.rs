//! What the server counts about itself: atomics, read by `GET /metrics` and the health routes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use axum::http::StatusCode;
use stepflow_catalog::{Durations, Histogram};

/// Statuses that are counted by themselves; others count as the last, 0.
const STATUSES: [u16; 30] = [
    101, 200, 201, 202, 204, 206, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 412, 413,
    414, 415, 416, 421, 422, 426, 429, 500, 503, 507, 0,
];

/// Counters of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By row of the table; one more for what is no route: pages, and requests refused before.
    routes: Vec<RouteCounters>,
    pub(crate) in_progress: AtomicU64,
    pub(crate) connections_tcp: AtomicU64,
    pub(crate) connections_unix: AtomicU64,
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    /// When the last of them was, seconds after the start; 0: never.
    pub(crate) accept_failed_s: AtomicU64,
    /// Clients of `/ws`, and of event streams.
    pub(crate) websockets: AtomicU64,
    pub(crate) event_streams: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    /// Viewers that took nothing for too long, or whose login ended.
    pub(crate) viewers_dropped: AtomicU64,
}

#[derive(Debug)]
struct RouteCounters {
    by_status: [AtomicU64; STATUSES.len()],
    took: Histogram,
}

/// What was counted of one row.
#[derive(Debug, Clone)]
pub(crate) struct RouteFigures {
    /// Answers by status; those without any are left out.
    pub(crate) by_status: Vec<(u16, u64)>,
    /// From the request's head to the answer's.
    pub(crate) took: Durations,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) usize);

/// Which row answers what a connection asks at the moment: said by its guard, read on the way out.
#[derive(Debug)]
pub(crate) struct Answering(AtomicUsize);

impl Default for Answering {
    fn default() -> Self {
        Self(AtomicUsize::new(Self::NONE))
    }
}

impl Answering {
    const NONE: usize = usize::MAX;

    /// It is this one.
    pub(crate) fn is_of(&self, row: Row) {
        self.0.store(row.0, Relaxed);
    }

    /// Which one it was; the next request's is not known yet. `None`: what was asked for is no route.
    pub(crate) fn take(&self) -> Option<Row> {
        let row = self.0.swap(Self::NONE, Relaxed);
        (row != Self::NONE).then_some(Row(row))
    }
}

impl Metrics {
    /// For a table with `rows` rows.
    pub(crate) fn new(rows: usize) -> Self {
        let counters = || RouteCounters {
            by_status: std::array::from_fn(|_| AtomicU64::new(0)),
            took: Histogram::default(),
        };
        Self {
            routes: (0..=rows).map(|_| counters()).collect(),
            in_progress: AtomicU64::new(0),
            connections_tcp: AtomicU64::new(0),
            connections_unix: AtomicU64::new(0),
            connections_accepted: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            accept_failed_s: AtomicU64::new(0),
            websockets: AtomicU64::new(0),
            event_streams: AtomicU64::new(0),
            subscriptions: AtomicU64::new(0),
            viewers_dropped: AtomicU64::new(0),
        }
    }

    /// An answer is on its way. `row`: `None` for what is no route.
    pub(crate) fn answered(&self, row: Option<Row>, status: StatusCode, took: std::time::Duration) {
        let last = self.routes.len() - 1;
        let route = &self.routes[row.map_or(last, |row| row.0.min(last))];
        let at = STATUSES.iter().position(|known| *known == status.as_u16());
        route.by_status[at.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Relaxed);
        route.took.observe(took);
    }

    /// By row of the table, and one more.
    pub(crate) fn routes(&self) -> Vec<RouteFigures> {
        let figures = |route: &RouteCounters| RouteFigures {
            by_status: STATUSES
                .iter()
                .zip(&route.by_status)
                .map(|(status, count)| (*status, count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            took: route.took.snapshot(),
        };
        self.routes.iter().map(figures).collect()
    }

    /// Counts a request until its answer begins.
    pub(crate) fn in_progress(&self) -> InProgress<'_> {
        self.in_progress.fetch_add(1, Relaxed);
        InProgress(&self.in_progress)
    }

    /// Counts something for as long as the answer lives.
    pub(crate) fn counted(self: &Arc<Self>, gauge: fn(&Self) -> &AtomicU64) -> Counted {
        gauge(self).fetch_add(1, Relaxed);
        Counted { metrics: Arc::clone(self), gauge }
    }
}

/// A request that is counted while it is there.
#[derive(Debug)]
pub(crate) struct InProgress<'a>(&'a AtomicU64);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// One of something that is counted while it is there.
#[derive(Debug)]
pub(crate) struct Counted {
    metrics: Arc<Metrics>,
    gauge: fn(&Metrics) -> &AtomicU64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_counted_at_its_row_and_its_status() {
        let metrics = Arc::new(Metrics::new(2));
        metrics.answered(Some(Row(1)), StatusCode::OK, Duration::from_millis(1));
        metrics.answered(Some(Row(1)), StatusCode::IM_A_TEAPOT, Duration::from_millis(1));
        metrics.answered(None, StatusCode::NOT_FOUND, Duration::from_millis(1));
        let found = metrics.routes();
        assert!(found[0].by_status.is_empty());
        assert_eq!(found[1].by_status, [(200, 1), (0, 1)]);
        assert_eq!(found[2].by_status, [(404, 1)]);
        assert_eq!(found[1].took.count(), 2);
    }

    #[test]
    fn a_row_is_that_of_one_answer() {
        let answering = Answering::default();
        assert_eq!(answering.take(), None);
        answering.is_of(Row(0));
        assert_eq!(answering.take(), Some(Row(0)));
        assert_eq!(answering.take(), None, "the next one is no route");
    }

    #[test]
    fn a_viewer_is_counted_while_it_is_there() {
        let metrics = Arc::new(Metrics::new(0));
        let (one, two) = (
            metrics.counted(|metrics| &metrics.websockets),
            metrics.counted(|metrics| &metrics.websockets),
        );
        assert_eq!(metrics.websockets.load(Relaxed), 2);
        drop((one, two));
        assert_eq!(metrics.websockets.load(Relaxed), 0);
    }
}
