//! What is kept, and for how long: ended executions that a policy lets go of are deleted, oldest
//! first, a few at a time, so that nobody else notices.
//!
//! Two walks over the catalog. The first goes from the newest to the oldest and finds, for each
//! rule, the place behind which everything is over its limits; the second goes from the oldest to
//! the newest and deletes. Between them only numbers are kept, however many executions there are.

mod policy; // rules, and which of them an execution falls under
mod survey; // limits -> places, pure
mod sweep; // the two walks

pub use policy::{Policy, PolicyError, Rule};
pub use sweep::Swept;

pub(crate) use sweep::watch;
