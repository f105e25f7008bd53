//! The recorder, or the server, dies before or after each of its calls that change a file.

mod server; // the server does

use crate::{
    Options, Outcome,
    stage::{End, Lie, Scenario},
};

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scenario = match Scenario::new(&options.program) {
        Ok(scenario) => scenario,
        Err(why) if why.starts_with("no C compiler") => return Ok(Outcome::NotRun(why)),
        Err(found) => return Err(found),
    };
    let (mut whole, mut lost, mut refused) = (0, 0, 0);
    let calls = scenario.calls.len();
    for at in 1..=calls {
        for what in ["before", "after"] {
            let lie = Lie { at, what: what.to_owned(), ..Lie::default() };
            let place = |found| format!("killed {what} call {at} ({}): {found}", scenario.calls);
            let mut run = scenario.start(&lie);
            run.ended().map_err(place)?;
            let (end, state) = scenario.judge(&run).map_err(place)?;
            match end {
                End::Whole => whole += 1,
                End::Lost => lost += 1,
                End::Refused => refused += 1,
            }
            if state.unsafe_from.is_some() {
                return Err(place("it tells of a failed sync, and none failed".to_owned()));
            }
        }
    }
    // A sweep that never hits anything proves nothing.
    if lost < calls || refused == 0 || whole == 0 {
        return Err(format!("not a sweep: {whole} whole, {lost} lost, {refused} refused"));
    }
    let swept = server::sweep(&options.program)?;
    Ok(Outcome::Held(format!(
        "recorder: {} kills, before and after each of {calls} calls: {whole} whole, {lost} lost and a \
         true beginning, {refused} never started; server: {} kills at {} calls, {} of them before its \
         answer: {} whole, {} never started; 0 bytes changed, 0 ids gone, 0 scripts started twice, 0 \
         processes left",
        2 * calls,
        swept.kills,
        swept.calls.len(),
        swept.unanswered,
        swept.whole,
        swept.refused
    )))
}
