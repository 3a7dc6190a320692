//! The commands at the API server: read, patch, follow.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};

use super::{Progress, Snapshot, Wish, tree};
use crate::resource::FlinkApplication;

/// Under which name the plugin changes fields.
const FIELD_MANAGER: &str = "kubectl-flinkapp";

/// Why a command hasn't done what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such application.
    #[error(
        "there is no FlinkApplication {namespace}/{name}: see kubectl get flinkapplications -A"
    )]
    NotFound {
        /// Where.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server refused, or there was no answer.
    #[error("the API server: {0}")]
    Api(#[source] Box<kube::Error>),
    /// It can't be asked for, or it won't come about.
    #[error("{0}")]
    Refused(String),
    /// The time is over.
    #[error("not within {seconds} s; it goes on: {waiting}")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
        /// What it waits for.
        waiting: String,
    },
}

/// Which application, and where.
#[derive(Clone)]
pub struct Target {
    /// The API server.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Target {
    fn applications(&self) -> Api<FlinkApplication> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn error(&self, error: kube::Error) -> CommandError {
        match error {
            kube::Error::Api(status) if status.code == 404 => CommandError::NotFound {
                namespace: self.namespace.clone(),
                name: self.name.clone(),
            },
            other => CommandError::Api(Box::new(other)),
        }
    }

    /// The application as a tree.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn status(&self, now: &Time) -> Result<String, CommandError> {
        let read = Snapshot::read(&self.client, &self.namespace, &self.name).await;
        Ok(tree::render(&read.map_err(|error| self.error(error))?, now))
    }

    /// Asks for something; waits for it if there is a time for that. What to tell.
    ///
    /// # Errors
    /// When it can't be asked for, won't come about, or hasn't within the time.
    pub async fn ask(&self, wish: &Wish, wait: Option<Duration>) -> Result<String, CommandError> {
        let applications = self.applications();
        let found = applications.get(&self.name).await.map_err(|error| self.error(error))?;
        if let Some(refusal) = wish.refusal(&found) {
            return Err(CommandError::Refused(refusal));
        }
        let wish = &wish.clone().of(&found);
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let patched = applications.patch(&self.name, &params, &Patch::Merge(wish.patch())).await;
        let generation = patched.map_err(|error| self.error(error))?.metadata.generation;
        match wait {
            None => Ok("asked for".to_owned()),
            Some(time) => self.follow(wish, generation.unwrap_or(0), time).await,
        }
    }

    async fn follow(
        &self,
        wish: &Wish,
        generation: i64,
        time: Duration,
    ) -> Result<String, CommandError> {
        let mut waiting = "nothing was seen of it".to_owned();
        let followed = async {
            let mut changes = std::pin::pin!(watch_object(self.applications(), &self.name));
            while let Some(change) = changes.next().await {
                // A watch that fails begins anew.
                let Ok(change) = change else { continue };
                let Some(application) = change else {
                    return Err(CommandError::Refused("it was deleted".to_owned()));
                };
                match wish.progress(&application, generation) {
                    Progress::Done(told) => return Ok(told),
                    Progress::Failed(why) => return Err(CommandError::Refused(why)),
                    Progress::Waiting(what) => waiting = what,
                }
            }
            Err(CommandError::Refused("the API server ended the watch".to_owned()))
        };
        match tokio::time::timeout(time, followed).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CommandError::TimedOut { seconds: time.as_secs(), waiting }),
        }
    }
}
