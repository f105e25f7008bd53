//! A future that is waited for beside another that wakes the same task all the time.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// Looks at its future only once that has something to say. To ask what all connections wait for
/// takes a lock that they share, and each would do so with every request.
pub(crate) struct Quiet<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    waits: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.waits.wake();
    }
}

impl<F> Quiet<F> {
    pub(crate) fn new(future: F) -> Self {
        let bell = Bell { rung: AtomicBool::new(true), waits: AtomicWaker::new() };
        Self { future: Box::pin(future), bell: Arc::new(bell) }
    }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // First, so that a bell that rings now is either seen here or wakes us.
        this.bell.waits.register(cx.waker());
        if !this.bell.rung.swap(false, SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&this.bell));
        this.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl<F> fmt::Debug for Quiet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quiet").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_is_asked_once_and_again_when_it_has_rung() {
        let token = CancellationToken::new();
        let mut cancelled = Box::pin(token.clone().cancelled_owned());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let mut quiet = Quiet::new(std::future::poll_fn(move |cx| {
            count.fetch_add(1, SeqCst);
            cancelled.as_mut().poll(cx)
        }));
        for _ in 0..10 {
            assert!(futures_util::poll!(&mut quiet).is_pending());
        }
        assert_eq!(asked.load(SeqCst), 1);
        let waiting = tokio::spawn(quiet);
        tokio::task::yield_now().await; // It waits with its task now, not with this one.
        token.cancel();
        waiting.await.unwrap();
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn what_has_happened_before_is_seen_at_once() {
        let token = CancellationToken::new();
        token.cancel();
        Quiet::new(token.cancelled_owned()).await;
    }
}
