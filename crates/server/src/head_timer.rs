//! hyper's clock for the heads of requests: one timer for each connection, not one for each request.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

/// A timer of tokio's stays where it is while requests come and go, and is moved only when it runs
/// out: to set and remove one takes a lock that all connections share. For one connection, which
/// waits for one head at a time.
#[derive(Debug, Default)]
pub(crate) struct HeadTimer(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

/// Until then, by the timer of the connection.
struct Until {
    deadline: Instant,
    timer: Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { deadline, timer: Arc::clone(&self.0) })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(self.deadline);
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // Set for a later one than this: only if somebody waited for longer before.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            // Set for an earlier head, which came.
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_head_has_its_whole_time_whatever_was_waited_for_before() {
        let timer = HeadTimer::default();
        let ms = Duration::from_millis;
        let begun = Instant::now();
        for _ in 0..5 {
            let mut head = timer.sleep(ms(100));
            assert!(futures_util::poll!(&mut head).is_pending());
            tokio::time::sleep(ms(30)).await;
        }
        let waited = Instant::now();
        timer.sleep(ms(100)).await;
        assert!(waited.elapsed() >= ms(100));
        assert!(begun.elapsed() >= ms(250));
        let waited = Instant::now();
        let mut late = timer.sleep(Duration::from_secs(3_600));
        assert!(futures_util::poll!(&mut late).is_pending());
        timer.sleep(ms(20)).await;
        assert!(waited.elapsed() < Duration::from_secs(60), "a shorter one is not kept waiting");
    }
}
