//! A page of executions, taken in runs by several threads.

use std::{
    ops::Range,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

/// Logs that may be done before an earlier one is: their hits wait.
pub(super) const AHEAD_MAX: usize = 64;

pub(super) struct Queue<T> {
    turns: Vec<Mutex<Option<T>>>,
    left: Mutex<Left>,
    /// What is still taken is looked at in vain.
    over: AtomicBool,
    /// How many have been told.
    told: AtomicUsize,
    /// Threads that wait until more have been told.
    waiting: AtomicUsize,
    wait: Mutex<()>,
    more: Condvar,
}

/// What nobody has taken.
struct Left {
    next: usize,
    /// Ends of runs that took too long. All are before `next`.
    back: Vec<Range<usize>>,
}

impl<T> Queue<T> {
    pub(super) fn new(page: Vec<T>) -> Self {
        Self {
            turns: page.into_iter().map(|turn| Mutex::new(Some(turn))).collect(),
            left: Mutex::new(Left { next: 0, back: Vec::new() }),
            over: AtomicBool::new(false),
            told: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            wait: Mutex::new(()),
            more: Condvar::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// The next ones: at most `most`, and near the end fewer, so that all `threads` end together.
    pub(super) fn take(&self, most: usize, threads: usize) -> Option<Range<usize>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        // The first one first: all may wait for it, who has taken a later one too.
        let first = (0..left.back.len()).min_by_key(|at| left.back[*at].start);
        if let Some(back) = first.map(|at| left.back.swap_remove(at)) {
            let end = back.end.min(back.start + most);
            if end < back.end {
                left.back.push(end..back.end);
            }
            return Some(back.start..end);
        }
        let rest = self.turns.len() - left.next;
        if rest == 0 {
            return None;
        }
        let first = left.next;
        left.next += most.min(rest / (2 * threads)).max(1);
        Some(first..left.next)
    }

    /// For whoever is free: not begun.
    pub(super) fn give_back(&self, run: Range<usize>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).back.push(run);
    }

    /// Whether this one has to wait until earlier ones have been told.
    pub(super) fn is_ahead(&self, number: usize) -> bool {
        number >= self.told.load(SeqCst) + AHEAD_MAX
    }

    /// One that was taken, once it is not too far ahead; `None`: nobody wants it any more.
    pub(super) fn turn(&self, number: usize) -> Option<T> {
        if self.is_ahead(number) {
            self.wait_for(number);
        }
        if self.is_over() {
            return None;
        }
        self.turns[number].lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn wait_for(&self, number: usize) {
        let guard = self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is looked what has been told: who tells does it the other way round.
        self.waiting.fetch_add(1, SeqCst);
        let ahead = |(): &mut ()| self.is_ahead(number) && !self.is_over();
        drop(self.more.wait_while(guard, ahead).unwrap_or_else(PoisonError::into_inner));
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// So many have been told.
    pub(super) fn tell(&self, number: usize) {
        self.told.store(number, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.wake();
        }
    }

    pub(super) fn end(&self) {
        self.over.store(true, SeqCst);
        self.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn wake(&self) {
        // Under the lock, so that nobody misses it between looking and waiting.
        let _guard = self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn queue(length: usize) -> Queue<usize> {
        Queue::new((0..length).collect())
    }

    #[test]
    fn each_is_taken_once_and_runs_are_shorter_near_the_end() {
        let queue = queue(100);
        let mut runs = Vec::new();
        while let Some(run) = queue.take(16, 2) {
            runs.push(run);
        }
        assert_eq!(runs[0], 0..16);
        assert_eq!(runs[1], 16..32);
        assert_eq!(runs.last().unwrap().len(), 1);
        let all: Vec<usize> = runs.into_iter().flatten().collect();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_given_back_is_taken_next() {
        let queue = queue(100);
        assert_eq!(queue.take(16, 2), Some(0..16));
        assert_eq!(queue.take(16, 2), Some(16..32));
        queue.give_back(3..16);
        queue.give_back(30..32);
        assert_eq!(queue.take(1, 2), Some(3..4));
        assert_eq!(queue.take(16, 2), Some(4..16), "what comes first is not left behind");
        assert_eq!(queue.take(16, 2), Some(30..32));
        assert_eq!(queue.take(16, 2), Some(32..48));
    }

    #[test]
    fn who_is_too_far_ahead_waits_until_more_are_told() {
        let queue = queue(100);
        assert!(!queue.is_ahead(AHEAD_MAX - 1) && queue.is_ahead(AHEAD_MAX));
        assert_eq!(queue.turn(0), Some(0));
        thread::scope(|scope| {
            let turn = scope.spawn(|| queue.turn(AHEAD_MAX));
            while queue.waiting.load(SeqCst) == 0 {
                thread::yield_now();
            }
            assert!(!turn.is_finished());
            queue.tell(1);
            assert_eq!(turn.join().unwrap(), Some(AHEAD_MAX));
            let turn = scope.spawn(|| queue.turn(AHEAD_MAX + 1));
            while queue.waiting.load(SeqCst) == 0 {
                thread::yield_now();
            }
            queue.end();
            assert_eq!(turn.join().unwrap(), None);
        });
    }
}
