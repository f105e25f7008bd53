//! A connection whose client takes nothing: it is given up, whatever was being sent.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::metrics::Metrics;

/// A stream whose writes fail once the other side has taken nothing for some time.
#[derive(Debug)]
pub(crate) struct Stalling<S> {
    stream: S,
    within: Duration,
    metrics: Arc<Metrics>,
    /// Runs while a write waits.
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Stalling<S> {
    pub(crate) fn new(stream: S, within: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            stream,
            within,
            metrics,
            timer: Box::pin(sleep_until(Instant::now())),
            waiting: false,
        }
    }

    /// Lets a write that waits do so until the time is over.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !std::mem::replace(&mut self.waiting, true) {
            self.timer.as_mut().reset(Instant::now() + self.within);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.metrics.viewers_dropped.fetch_add(1, Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.wait(cx),
            written @ Poll::Ready(_) => {
                this.waiting = false;
                written
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write_vectored(cx, bytes) {
            Poll::Pending => this.wait(cx),
            written @ Poll::Ready(_) => {
                this.waiting = false;
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_write_fails_only_when_nothing_is_taken_for_the_whole_time() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let metrics = Arc::new(Metrics::new(0));
        let mut stalling = Stalling::new(ours, Duration::from_millis(300), Arc::clone(&metrics));
        let sent = tokio::spawn(async move {
            // Taken byte by byte, for longer than the time altogether.
            stalling.write_all(&[1; 512]).await.unwrap();
            stalling.write_all(&[2; 512]).await.unwrap_err().kind()
        });
        let begun = Instant::now();
        let mut taken = 0;
        while taken < 512 {
            taken += theirs.read(&mut [0; 64]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        assert!(begun.elapsed() > Duration::from_millis(300));
        assert_eq!(sent.await.unwrap(), io::ErrorKind::TimedOut);
        assert_eq!(metrics.viewers_dropped.load(Relaxed), 1);
        drop(theirs);
    }
}
