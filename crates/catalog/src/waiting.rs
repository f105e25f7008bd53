//! Threads that wait for the writer, and how they are woken.
//!
//! To wake a thread takes as long as to write a small row, and the writer is the one thread that all
//! wait for: it wakes two, and each that is woken wakes two more.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, Thread},
};

use crate::CatalogError;

/// So many are woken by each that is.
const WAKES: usize = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that waits for an answer.
pub(crate) struct Waiting {
    thread: Thread,
    told: Mutex<Option<Told>>,
}

struct Told {
    result: Result<(), CatalogError>,
    asleep: Asleep,
}

/// Those that have been told, and that nobody has woken.
type Asleep = Arc<Mutex<Vec<Arc<Waiting>>>>;

impl Waiting {
    /// This thread.
    pub(crate) fn here() -> Self {
        Self { thread: thread::current(), told: Mutex::new(None) }
    }

    /// Waits until it is told, on the thread that it was made on.
    pub(crate) fn told(&self) -> Result<(), CatalogError> {
        loop {
            let told = lock(&self.told).take();
            if let Some(Told { result, asleep }) = told {
                wake(&asleep);
                return result;
            }
            thread::park();
        }
    }
}

/// Threads that are told at the same time.
#[derive(Default)]
pub(crate) struct Sleepers(Asleep);

impl Sleepers {
    /// Tells one, which may go on at once.
    pub(crate) fn add(&mut self, waiting: Arc<Waiting>, result: Result<(), CatalogError>) {
        *lock(&waiting.told) = Some(Told { result, asleep: Arc::clone(&self.0) });
        // Only then: who is woken and has not been told waits on, and nobody wakes it again.
        lock(&self.0).push(waiting);
    }
}

/// Wakes them: some now, and those wake the others. Whatever happens in between, no one who has been
/// told sleeps on.
impl Drop for Sleepers {
    fn drop(&mut self) {
        wake(&self.0);
    }
}

fn wake(asleep: &Asleep) {
    let mut woken = 0;
    while woken < WAKES {
        let Some(next) = lock(asleep).pop() else { return };
        // One that went on by itself has woken those whom it found; only one that is still to go on
        // will wake others.
        if lock(&next.told).is_some() {
            next.thread.unpark();
            woken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_woken_and_each_is_told_its_own() {
        for count in [1, 2, 3, 40] {
            let (sender, receiver) = std::sync::mpsc::channel();
            let threads: Vec<_> = (0..count)
                .map(|number| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        let waiting = Arc::new(Waiting::here());
                        // Some go on before anybody wakes them.
                        if number % 3 == 0 {
                            thread::current().unpark();
                        }
                        sender.send((number, Arc::clone(&waiting))).unwrap();
                        (number, waiting.told().is_ok())
                    })
                })
                .collect();
            let mut sleepers = Sleepers::default();
            for (number, waiting) in receiver.iter().take(count) {
                let result = if number % 2 == 0 { Ok(()) } else { Err(CatalogError::Closed) };
                sleepers.add(waiting, result);
            }
            drop(sleepers);
            for thread in threads {
                let (number, good) = thread.join().unwrap();
                assert_eq!(good, number % 2 == 0);
            }
        }
    }
}
