//! Secrets in what markers say: decoded text may show what the log has in another form.

use serde_json::Value;
use stepflow_model::EventKind;

use crate::mask::Masker;

/// Masks all texts of an event that the output gave rise to.
pub(crate) fn mask(kind: &mut EventKind, masker: &Masker) {
    if masker.is_idle() {
        return;
    }
    let mut hide = |text: &mut String| {
        masker.mask_text(text);
    };
    match kind {
        EventKind::StepStarted { name, key, params, .. } => {
            hide(name);
            key.iter_mut().for_each(&mut hide);
            for value in params.values_mut() {
                if let Value::String(text) = value {
                    hide(text);
                }
            }
        }
        EventKind::StepFinished { error, detail, .. } => {
            error.iter_mut().chain(detail).for_each(hide);
        }
        EventKind::Progress { text, .. } => hide(text),
        EventKind::Artifact { path, description, .. } => {
            hide(path);
            hide(description);
        }
        EventKind::Meta { key, value, title, .. } => {
            hide(key);
            hide(value);
            title.iter_mut().for_each(hide);
        }
        EventKind::Problem(problem) => {
            hide(&mut problem.message);
            let more =
                [&mut problem.file, &mut problem.title, &mut problem.code, &mut problem.details];
            more.into_iter().flatten().for_each(hide);
        }
        EventKind::Summary(text) => {
            [&mut text.markdown, &mut text.path, &mut text.name]
                .into_iter()
                .flatten()
                .for_each(hide);
        }
        EventKind::Test(test) => {
            hide(&mut test.name);
            let more = [&mut test.suite, &mut test.message, &mut test.file, &mut test.details];
            more.into_iter().flatten().for_each(hide);
        }
        EventKind::TestSummary { suite, .. } => suite.iter_mut().for_each(hide),
        EventKind::Warning { message, .. } => hide(message),
        _ => {}
    }
}
