//! The same again: a new execution from the spec of an old one.

use std::{collections::BTreeMap, sync::Arc};

use stepflow_model::{ExecutionId, Source};
use stepflow_record::RecordError;
use stepflow_sys::clock;
use uuid::Uuid;

use crate::{
    Engine, Once, RerunError, core::blocking, environment, handle::Handle, request,
    request::Prepared,
};

impl Engine {
    /// Accepts an execution that does the same as `of`: command, directory, declared environment,
    /// name, tags, limits and flags. `environment` adds to what was declared and replaces it, and
    /// gives the secrets again, whose values no record holds. With a key that was accepted within
    /// 24 h: that execution, and `true`.
    pub async fn rerun(
        &self,
        of: ExecutionId,
        environment: BTreeMap<String, String>,
        once: Option<Once>,
    ) -> Result<(Arc<Handle>, bool), RerunError> {
        request::check_environment(&environment)?;
        let storage = self.storage().clone();
        let spec = match blocking(move || storage.spec(of)).await.ok_or(RerunError::closing())? {
            Ok(spec) => spec,
            Err(RecordError::Missing { .. }) => return Err(RerunError::Unknown(of)),
            Err(error) => return Err(error.into()),
        };
        if !spec.can_rerun() {
            return Err(RerunError::NoCommand(of));
        }
        let inherited = environment::inherited_names();
        let missing: Vec<String> = spec
            .mask_env
            .iter()
            .filter(|name| !environment.contains_key(*name) && !inherited.contains(name))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(RerunError::SecretsMissing { of, missing });
        }
        let (secrets, declared): (BTreeMap<_, _>, BTreeMap<_, _>) =
            environment.into_iter().partition(|(name, _)| spec.mask_env.contains(name));
        let mut again = spec.rerun(ExecutionId::new(Uuid::now_v7()), clock::wall_us());
        again.env.extend(declared);
        again.env_inherited = inherited;
        again.source = Source::Server;
        again.bound = false;
        let prepared = Prepared { spec: again, secrets: secrets.into_iter().collect() };
        Ok(self.accept_once(prepared, once).await?)
    }
}
