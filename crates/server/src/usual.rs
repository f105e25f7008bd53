//! How long an execution and its steps usually take: medians over earlier passes.

use std::collections::HashMap;

use stepflow_api::{Usual, UsualStep};
use stepflow_catalog::Pass;
use stepflow_model::Step;

/// Earlier passes that count.
pub const PASSES: u32 = 20;

/// A step by what it is called: the names that lead to it, and which one of that name it is.
type Key = (Vec<String>, u32);

/// What `passes`, newest first, say of an execution with these `steps` so far.
pub fn usual(passes: &[Pass], steps: &[Step]) -> Usual {
    let mut order: Vec<Key> = Vec::new();
    let mut durations: HashMap<Key, Vec<u64>> = HashMap::new();
    for pass in passes {
        let named = pass.steps.iter().map(|step| (step.index, step.name.as_str(), step.parent));
        for (key, step) in keys(named).into_iter().zip(&pass.steps) {
            let Some(duration) = step.duration_us else { continue };
            let known = durations.entry(key).or_insert_with_key(|key| {
                order.push(key.clone());
                Vec::new()
            });
            known.push(duration);
        }
    }
    let named = steps.iter().map(|step| (step.index, step.name.as_str(), step.parent));
    let here: HashMap<Key, u32> =
        keys(named).into_iter().zip(steps.iter().map(|step| step.index)).collect();
    let steps = order
        .into_iter()
        .filter_map(|key| {
            let known = durations.get_mut(&key)?;
            let passes = known.len() as u32;
            let seconds = median(known)?;
            let step = here.get(&key).copied();
            Some(UsualStep { path: key.0, occurrence: key.1, seconds, passes, step })
        })
        .collect();
    let mut whole: Vec<u64> = passes.iter().filter_map(|pass| pass.duration_us).collect();
    Usual { passes: passes.len() as u32, seconds: median(&mut whole), steps }
}

/// For each step, in order: a parent stands before its children.
fn keys<'a>(steps: impl Iterator<Item = (u32, &'a str, Option<u32>)>) -> Vec<Key> {
    let mut paths: HashMap<u32, Vec<String>> = HashMap::new();
    let mut seen: HashMap<Vec<String>, u32> = HashMap::new();
    steps
        .map(|(index, name, parent)| {
            let mut path = parent.and_then(|at| paths.get(&at)).cloned().unwrap_or_default();
            path.push(name.to_owned());
            paths.insert(index, path.clone());
            let count = seen.entry(path.clone()).or_default();
            let occurrence = *count;
            *count += 1;
            (path, occurrence)
        })
        .collect()
}

/// In seconds; of an even number the mean of the two in the middle.
pub(crate) fn median(us: &mut [u64]) -> Option<f64> {
    us.sort_unstable();
    let (low, high) = (us.get(us.len().checked_sub(1)? / 2)?, us.get(us.len() / 2)?);
    Some(f64::midpoint(*low as f64, *high as f64) / 1e6)
}

#[cfg(test)]
mod tests {
    use stepflow_catalog::PassedStep;

    use super::*;

    fn pass(steps: &[(u32, &str, Option<u32>, u64)]) -> Pass {
        let steps = steps.iter().map(|(index, name, parent, s)| PassedStep {
            index: *index,
            name: (*name).to_owned(),
            parent: *parent,
            duration_us: Some(s * 1_000_000),
        });
        let id = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        Pass { id, duration_us: Some(10_000_000), steps: steps.collect() }
    }

    #[test]
    fn steps_are_told_apart_by_their_path_and_order() {
        let passes = [
            pass(&[(0, "Test", None, 5), (1, "unit", Some(0), 2), (2, "unit", Some(0), 4)]),
            pass(&[(0, "Test", None, 7), (3, "unit", Some(0), 1), (4, "unit", None, 9)]),
            pass(&[(0, "Test", None, 9)]),
        ];
        let usual = usual(&passes, &[]);
        let seen: Vec<_> = usual
            .steps
            .iter()
            .map(|step| (step.path.join("/"), step.occurrence, step.seconds, step.passes))
            .collect();
        assert_eq!(
            seen,
            [
                ("Test".to_owned(), 0, 7.0, 3),
                ("Test/unit".to_owned(), 0, 1.5, 2),
                ("Test/unit".to_owned(), 1, 4.0, 1),
                ("unit".to_owned(), 0, 9.0, 1),
            ]
        );
        assert_eq!((usual.passes, usual.seconds), (3, Some(10.0)));
    }

    #[test]
    fn without_passes_nothing_is_usual() {
        let usual = usual(&[], &[]);
        assert_eq!((usual.passes, usual.seconds, usual.steps.len()), (0, None, 0));
    }
}
