//! What the environment asks for: language, characters, numbers.

/// A language that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

/// The caller's locale, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale {
    /// Of messages.
    pub language: Language,
    /// Whether the terminal takes UTF-8; else our own words and symbols are ASCII.
    pub utf8: bool,
    /// Before the decimals.
    pub decimal: char,
    /// Between groups of three digits.
    pub group: char,
}

/// Languages that write `1.234,5`.
const COMMA_AND_POINT: [&str; 12] =
    ["da", "de", "el", "es", "hr", "id", "it", "nl", "pt", "sl", "tr", "vi"];
/// Languages that write `1 234,5`.
const COMMA_AND_SPACE: [&str; 17] = [
    "be", "bg", "cs", "et", "fi", "fr", "hu", "lt", "lv", "nb", "nn", "no", "pl", "ru", "sk", "sv",
    "uk",
];

impl Locale {
    /// Of what programs read.
    pub const OF_PROGRAMS: Self =
        Self { language: Language::English, utf8: true, decimal: '.', group: ',' };
    /// Where nothing is set.
    #[cfg(test)]
    pub const C: Self = Self { language: Language::English, utf8: false, decimal: '.', group: ',' };

    /// From the environment, as POSIX says: `LC_ALL`, else the category's variable, else `LANG`; an
    /// empty one counts as unset.
    pub fn from(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let of = |category: &str| {
            ["LC_ALL", category, "LANG"]
                .into_iter()
                .find_map(|name| environment(name).filter(|value| !value.is_empty()))
                .unwrap_or_default()
        };
        let utf8 = is_utf8(&of("LC_CTYPE"));
        let (decimal, group) = numbers(&of("LC_NUMERIC"), utf8);
        // Chinese in a character set that we do not write would be unreadable.
        let chinese = utf8 && language(&of("LC_MESSAGES")) == "zh";
        let language = if chinese { Language::Chinese } else { Language::English };
        Self { language, utf8, decimal, group }
    }
}

/// `zh` of `zh_CN.UTF-8@pinyin`.
fn language(value: &str) -> &str {
    value.split(['_', '.', '@', '-']).next().unwrap_or_default()
}

fn is_utf8(value: &str) -> bool {
    let charset = value.split('@').next().and_then(|value| value.split_once('.'));
    charset.is_some_and(|(_, charset)| {
        charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
    })
}

fn numbers(value: &str, utf8: bool) -> (char, char) {
    // Swiss German and Swiss Italian write an apostrophe; Latin American Spanish mostly as English.
    let territory = value.split(['.', '@']).next().and_then(|name| name.split_once('_'));
    match (language(value), territory.map(|(_, territory)| territory)) {
        (_, Some("CH")) => ('.', '\''),
        ("es", Some("MX" | "US" | "GT" | "HN" | "NI" | "PA" | "PE" | "PR" | "SV" | "DO")) => {
            ('.', ',')
        }
        (language, _) if COMMA_AND_POINT.contains(&language) => (',', '.'),
        (language, _) if COMMA_AND_SPACE.contains(&language) => {
            (',', if utf8 { '\u{a0}' } else { ' ' })
        }
        _ => ('.', ','),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(pairs: &[(&str, &str)]) -> Locale {
        Locale::from(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn lc_all_beats_the_category_which_beats_lang_and_empty_is_unset() {
        assert_eq!(locale(&[]), Locale::C);
        assert_eq!(locale(&[("LANG", "C.UTF-8")]), Locale { utf8: true, ..Locale::C });
        let chinese = Locale { language: Language::Chinese, utf8: true, ..Locale::C };
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8")]), chinese);
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")]), chinese);
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Locale::C);
        assert_eq!(locale(&[("LANG", "en_US.utf8"), ("LC_MESSAGES", "zh_TW.UTF-8")]), chinese);
        let english = Locale { language: Language::English, ..chinese };
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8"), ("LC_MESSAGES", "C")]), english);
    }

    #[test]
    fn chinese_needs_characters_that_we_can_write() {
        assert_eq!(locale(&[("LANG", "zh_CN.GB18030")]), Locale::C);
        assert_eq!(locale(&[("LC_ALL", "zh_CN")]), Locale::C);
        assert!(locale(&[("LC_CTYPE", "en_US.UTF-8@euro")]).utf8);
    }

    #[test]
    fn numbers_follow_their_own_category() {
        let of = |value: &str| {
            let locale = locale(&[("LC_NUMERIC", value), ("LANG", "en_US.UTF-8")]);
            (locale.decimal, locale.group)
        };
        assert_eq!(of("de_DE.UTF-8"), (',', '.'));
        assert_eq!(of("de_CH.UTF-8"), ('.', '\''));
        assert_eq!(of("fr_FR.UTF-8"), (',', '\u{a0}'));
        assert_eq!(of("es_MX.UTF-8"), ('.', ','));
        assert_eq!(of("zh_CN.UTF-8"), ('.', ','));
    }
}
