//! Answers that are still true: of questions asked again before anything was committed.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// The last few answers, each with the version of the catalog it was read at
/// ([`Engine::version`](crate::Engine::version)). No answer is given at any other version, so that whoever
/// was told that something is written finds it in the next answer.
#[derive(Debug)]
pub struct Remembered<K, V> {
    answers: Mutex<VecDeque<(u64, K, V)>>,
    max: usize,
}

impl<K: PartialEq, V: Clone> Remembered<K, V> {
    /// The last `max` answers.
    pub fn new(max: usize) -> Self {
        Self { answers: Mutex::default(), max }
    }

    /// The answer to `question`, if nothing was committed since.
    pub fn get<Q: PartialEq<K> + ?Sized>(&self, version: u64, question: &Q) -> Option<V> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let found = answers.iter().find(|(at, asked, _)| *at == version && question == asked);
        found.map(|(.., answer)| answer.clone())
    }

    /// Keeps an answer to a question that was asked at `version` or later.
    pub fn keep(&self, version: u64, question: K, answer: V) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|(at, asked, _)| *at == version && *asked != question);
        while answers.len() >= self.max {
            answers.pop_front();
        }
        answers.push_back((version, question, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_at_its_own_version_only() {
        let remembered = Remembered::new(2);
        remembered.keep(7, "a".to_owned(), 1);
        assert_eq!(remembered.get(7, "a"), Some(1));
        assert_eq!((remembered.get(8, "a"), remembered.get(6, "a")), (None, None));
        assert_eq!(remembered.get(7, "b"), None);
        // Those of an earlier version are of no more use.
        remembered.keep(8, "b".to_owned(), 2);
        assert_eq!((remembered.get(7, "a"), remembered.get(8, "b")), (None, Some(2)));
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let remembered = Remembered::new(2);
        for (question, answer) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            remembered.keep(1, question.to_owned(), answer);
        }
        let all = ["a", "b", "c"].map(|question| remembered.get(1, question));
        assert_eq!(all, [Some(3), None, Some(4)]);
    }
}
