//! The table that dialects begin with: nearly always the same one, and larger than everything else
//! that listens to an execution. Who listens to thousands of them has it once.

use std::sync::{Arc, Mutex, PoisonError};

use super::watch::{Table, Watch, literals};

/// What a table is made from.
#[derive(PartialEq)]
struct Key {
    watches: Vec<Watch>,
    /// What problem matchers look for; `None`: nothing is looked for in whole pieces.
    words: Option<Vec<Box<str>>>,
    matchers: u32,
}

/// The last one.
static LAST: Mutex<Option<(Key, Arc<Table>)>> = Mutex::new(None);

/// The table for these watches, made or found. `words`: what problem matchers look for, whose bit is
/// `matchers`; `None`: there are no dialects.
pub(crate) fn first_table(
    watches: Vec<Watch>,
    words: Option<Vec<Box<str>>>,
    matchers: u32,
) -> Arc<Table> {
    let key = Key { watches, words, matchers };
    // Nothing that can panic happens under the lock.
    let lock = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, table)) = &*lock()
        && *known == key
    {
        return Arc::clone(table);
    }
    let words = |words: &Vec<Box<str>>| Arc::new(literals(words.iter().map(AsRef::as_ref)));
    let table = Arc::new(Table::new(&key.watches, key.words.as_ref().map(words), matchers));
    *lock() = Some((key, Arc::clone(&table)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_shared_by_those_that_want_the_same_and_by_no_others() {
        let words = |words: &[&str]| Some(words.iter().map(|word| Box::from(*word)).collect());
        let watches = |text: &'static [&'static str]| vec![Watch::none().begins(text)];
        let one = first_table(watches(&["abc"]), words(&["error"]), 2);
        assert_eq!((one.who(b"abc", b"abc"), one.who(b"xyz", b"xyz")), (1, 0));
        for (other, wants) in [
            (first_table(watches(&["xyz"]), words(&["error"]), 2), (0, 1)),
            (first_table(watches(&["abc"]), words(&["xyz"]), 2), (1, 2)),
            (first_table(watches(&["abc"]), words(&["xyz"]), 4), (1, 4)),
            (first_table(watches(&["abc"]), None, 0), (1, 0)),
        ] {
            assert!(!Arc::ptr_eq(&one, &other));
            assert_eq!((other.who(b"abc", b"abc"), other.who(b"xyz", b"xyz")), wants);
        }
    }

    #[test]
    fn a_table_is_made_once_for_many() {
        // Others may have theirs made in between.
        let many = || first_table(vec![Watch::all()], None, 0);
        assert!((0..100).any(|_| Arc::ptr_eq(&many(), &many())));
    }
}
