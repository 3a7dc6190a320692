//! Another parallelism at the edge: what users ask for is checked and passed on. Not here: doing it
//! (`job_master::rescale`).

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::{JobId, JobVertexId, TriggerId};

use super::JobManager;
use super::mail::CommandError;
use crate::dispatcher::Event;
use crate::job_master::rescaled;

impl JobManager {
    /// Takes the parallelism of some of a job's vertices in and gives the name under which the
    /// job's facts tell what becomes of it.
    pub(super) fn rescale(
        &mut self,
        id: JobId,
        trigger: Option<TriggerId>,
        parallelism: &BTreeMap<JobVertexId, u32>,
    ) -> Result<TriggerId, CommandError> {
        let job = self.dispatcher.job(id).ok_or(CommandError::Unknown)?;
        let known = |trigger: &TriggerId| job.last_rescale().is_some_and(|l| l.id == *trigger);
        if let Some(repeated) = trigger.filter(known) {
            return Ok(repeated);
        }
        self.takes_commands(job)?;
        if job.is_rescaling() {
            return Err(CommandError::Rescaling);
        }
        if self.store.is_none() {
            return Err(CommandError::NoStore);
        }
        let graph = rescaled(&job.information().graph, parallelism)?;
        let name = self.name_of_command(trigger);
        self.handle(Event::RescaleRequested(id, name, Arc::new(graph)));
        Ok(name)
    }
}
