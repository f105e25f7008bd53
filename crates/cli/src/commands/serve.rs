//! `stepflow serve` and `stepflow open`.

use std::process::ExitCode;

use serde_json::json;
use stepflow_client::{ClientError, Server};
use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_sys::host::SocketDir;

use crate::{args, failure::Failure};

pub fn serve(storage: Storage, args: &args::Serve) -> Result<ExitCode, Failure> {
    let _ = (storage, args, json!({}));
    Ok(ExitCode::SUCCESS)
}

pub fn open(storage: &Storage, id: Option<&str>, as_json: bool) -> Result<ExitCode, Failure> {
    let _ = (storage, id, as_json);
    Ok(ExitCode::SUCCESS)
}

/// Asks the server to cancel what waits in its queue; `false`: it has ended.
pub fn ask_to_cancel(storage: &Storage, id: ExecutionId) -> Result<bool, Failure> {
    let run = SocketDir::open(&storage.run_dir())?;
    let server = Server::at(run.path("server.sock"));
    match server.post(&format!("/api/executions/{id}/cancel"), &json!({})) {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { status: 409, .. }) => Ok(false),
        Err(error) => Err(Failure::from_error(&error)
            .hint("start the server that accepted it, or try again in a moment")),
    }
}
