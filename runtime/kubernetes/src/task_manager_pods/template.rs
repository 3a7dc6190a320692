//! The pod that the revision's template describes, under a name of its own. Not here: what the
//! template says, which the operator writes.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// A template can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It can't be read.
    #[error("the template of TaskManager pods {path} can't be read: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It isn't a Pod.
    #[error("the template of TaskManager pods {path} isn't a Pod: {source}", path = path.display())]
    NotAPod {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_yaml::Error,
    },
    /// It lacks what pods are told apart by.
    #[error(
        "the template of TaskManager pods {path} has no metadata.{missing}; the operator that wrote \
         it and this JobManager don't fit together",
        path = path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
}

/// What pods of TaskManagers look like.
#[derive(Debug, Clone)]
pub struct PodTemplate {
    pod: Pod,
    name_prefix: String,
}

impl PodTemplate {
    /// Reads it from a YAML file with one Pod, whose `generateName` their names begin with.
    ///
    /// # Errors
    /// The file can't be read, isn't a Pod, or lacks the name or the labels.
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::File { path: path.to_owned(), source })?;
        let mut pod: Pod = serde_yaml::from_str(&text)
            .map_err(|source| TemplateError::NotAPod { path: path.to_owned(), source })?;
        let lacks = |missing| TemplateError::Incomplete { path: path.to_owned(), missing };
        let name_prefix = pod.metadata.generate_name.take().ok_or_else(|| lacks("generateName"))?;
        if pod.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            return Err(lacks("labels"));
        }
        Ok(Self { pod, name_prefix })
    }

    /// What the names of a leader's pods begin with.
    pub fn prefix(&self, epoch: u64) -> String {
        format!("{}{epoch}", self.name_prefix)
    }

    /// Selects the pods that were made by it.
    pub fn selector(&self) -> String {
        let labels = self.pod.metadata.labels.iter().flatten();
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }

    /// A pod of this name; it goes when its owner does.
    pub fn pod(&self, name: &str, owner: Option<&OwnerReference>) -> Pod {
        let mut pod = self.pod.clone();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.owner_references = owner.map(|owner| vec![owner.clone()]);
        pod
    }
}
