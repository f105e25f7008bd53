use serde::Serialize;

use crate::{Figure, Machine, Sizes};

/// What a bench came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of the program that was measured.
    pub version: &'static str,
    /// When, microseconds UTC.
    pub time_us: i64,
    /// On what.
    pub machine: Machine,
    /// With how much of everything.
    pub sizes: Sizes,
    /// How long it took, seconds.
    pub seconds: f64,
    /// The figures, in the order in which they were measured.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Those figures that are not what they should be.
    pub fn short(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|figure| figure.is_met() == Some(false))
    }
}
