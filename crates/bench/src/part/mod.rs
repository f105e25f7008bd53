//! The parts, each by itself.

pub(crate) mod api; // requests
pub(crate) mod capture; // the output of one script
pub(crate) mod catalog; // writes and reads
pub(crate) mod fanout; // many viewers of one script
pub(crate) mod find; // one word in many logs
pub(crate) mod ingest; // very many streams from elsewhere
mod raw; // what SQLite does without us
pub(crate) mod recovery; // a server that is killed, and one that finds much
pub(crate) mod start; // scripts that end at once
pub(crate) mod storage; // what executions take, and how fast logs are searched
pub(crate) mod streams; // many scripts, each with a viewer

use crate::{BenchError, Options, Sizes, figure::Figure, place::Place};

/// What a part is given.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) place: &'a Place,
    pub(crate) options: &'a Options,
    pub(crate) sizes: Sizes,
    pub(crate) figures: &'a mut Vec<Figure>,
}

impl Run<'_> {
    /// Keeps a figure.
    pub(crate) fn keep(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Stops if somebody pressed Ctrl-C.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        self.place.check()
    }

    /// A storage whose catalog has as many executions as are asked for; made by the first who needs it.
    pub(crate) fn filled(&self) -> Result<std::path::PathBuf, BenchError> {
        let storage = self.place.storage("filled");
        let database = storage.join("database/stepflow.db");
        if !database.exists() {
            crate::fill::fill(&database, self.sizes.executions, &|| self.place.check())?;
        }
        Ok(storage)
    }
}
