//! How long a step should take, as its marker says: `[expected=90s]`, `[duration=60]`.

use serde_json::{Map, Value};

/// Longest that is believed: a year. More is a mistake.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// The expected duration in seconds: `[expected=…]`, else `[duration=…]`. What is no duration (as
/// in `[expected=fail]`) says nothing here and stays in the step's metadata.
pub(crate) fn expected_s(params: &Map<String, Value>) -> Option<f64> {
    let expected = params.get("expected").and_then(seconds);
    expected.or_else(|| params.get("duration").and_then(Value::as_f64))
}

fn seconds(value: &Value) -> Option<f64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text_seconds(text)?,
        _ => return None,
    };
    (0.0 < seconds && seconds <= SECONDS_MAX).then_some(seconds)
}

/// `90s`, `2m30s`, `1.5h`, `250ms`, `1h 5m`.
fn text_seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..unit_at].parse().ok()?;
        rest = rest[unit_at..].trim_start();
        let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += count * unit;
        rest = rest[unit_end..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expected_duration_is_read_as_people_write_it() {
        for (params, expected) in [
            (json!({"expected": 90}), Some(90.0)),
            (json!({"expected": 1.5}), Some(1.5)),
            (json!({"expected": "90s"}), Some(90.0)),
            (json!({"expected": "2m30s"}), Some(150.0)),
            (json!({"expected": "1h 5m"}), Some(3_900.0)),
            (json!({"expected": "1.5 h"}), Some(5_400.0)),
            (json!({"expected": "250ms"}), Some(0.25)),
            (json!({"expected": "90s", "duration": 60}), Some(90.0)),
            (json!({"expected": "fail", "duration": 60}), Some(60.0)),
            (json!({"duration": 60}), Some(60.0)),
            (json!({"duration": "60s"}), None), // As in the original: a number.
            (json!({"expected": true}), None),
            (json!({"expected": "soon"}), None),
            (json!({"expected": "5"}), None), // The marker's own conversion makes numbers.
            (json!({"expected": "5x"}), None),
            (json!({"expected": "1.2.3s"}), None),
            (json!({"expected": 0}), None),
            (json!({"expected": -5}), None),
            (json!({"expected": "99999d"}), None),
            (json!({}), None),
        ] {
            let Value::Object(params) = params else { panic!("an object") };
            assert_eq!(expected_s(&params), expected, "{params:?}");
        }
    }
}
