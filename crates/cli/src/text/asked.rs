//! What a test asks for, whatever the environment does.

use std::cell::Cell;

use super::Locale;

static ENGLISH: Locale = Locale { utf8: true, ..Locale::C };
static CHINESE: Locale = Locale { language: super::Language::Chinese, ..ENGLISH };

thread_local! {
    static ASKED: Cell<&'static Locale> = const { Cell::new(&ENGLISH) };
}

pub fn locale() -> &'static Locale {
    ASKED.get()
}

/// Chinese for the rest of this test.
pub fn chinese() {
    ASKED.set(&CHINESE);
}
