//! The pod that the revision's template describes, under a name of its own. Not here: what the
//! template says, which the operator writes.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, PodTemplate as PodTemplateObject, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The container of a pod that is the TaskManager; others are the user's.
const CONTAINER: &str = "taskmanager";

/// A template can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It can't be read.
    #[error(
        "the template of TaskManager pods {path} can't be read: {source}",
        path = path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It isn't a PodTemplate.
    #[error(
        "the template of TaskManager pods {path} isn't a PodTemplate: {source}",
        path = path.display()
    )]
    NotATemplate {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_yaml::Error,
    },
    /// It lacks what pods are told apart by.
    #[error(
        "the template of TaskManager pods {path} has no {missing}; the operator that wrote it and \
         this JobManager don't fit together",
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
    template: PodTemplateSpec,
    name_prefix: String,
}

impl PodTemplate {
    /// Reads it from a YAML file with one PodTemplate. The pods' names begin with `name_prefix`.
    ///
    /// # Errors
    /// The file can't be read, isn't a PodTemplate, or lacks the pod or its labels.
    pub fn read(path: &Path, name_prefix: String) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::File { path: path.to_owned(), source })?;
        let object: PodTemplateObject = serde_yaml::from_str(&text)
            .map_err(|source| TemplateError::NotATemplate { path: path.to_owned(), source })?;
        let lacks = |missing| TemplateError::Incomplete { path: path.to_owned(), missing };
        let template = object.template.ok_or_else(|| lacks("template"))?;
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        if labels.is_none_or(|labels| labels.is_empty()) {
            return Err(lacks("template.metadata.labels"));
        }
        Ok(Self { template, name_prefix })
    }

    /// What the names of the pods begin with that a JobManager makes in this term.
    pub fn prefix(&self, term: &str) -> String {
        format!("{}-{term}", self.name_prefix)
    }

    /// Selects the pods that were made by it.
    pub fn selector(&self) -> String {
        let metadata = self.template.metadata.iter();
        let labels = metadata.flat_map(|metadata| metadata.labels.iter().flatten());
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }

    /// A pod of this name; it goes when its owner does. Its TaskManager gets `arguments` after its
    /// own.
    pub fn pod(&self, name: &str, owner: Option<&OwnerReference>, arguments: &[String]) -> Pod {
        let PodTemplateSpec { metadata, mut spec } = self.template.clone();
        let containers = spec.iter_mut().flat_map(|spec| &mut spec.containers);
        for container in containers.filter(|container| container.name == CONTAINER) {
            if !arguments.is_empty() {
                container.args.get_or_insert_default().extend(arguments.iter().cloned());
            }
        }
        let metadata = metadata.unwrap_or_default();
        let mut pod = Pod { metadata, spec, status: None };
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.owner_references = owner.map(|owner| vec![owner.clone()]);
        pod
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PodTemplate, TemplateError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.yaml");
        std::fs::write(&path, text).unwrap();
        PodTemplate::read(&path, "shop-taskmanager".to_owned())
    }

    #[test]
    fn pods_are_what_the_template_says_under_names_of_their_own_and_with_their_owner() {
        let text = "apiVersion: v1
kind: PodTemplate
template:
  metadata: {labels: {a: b, c: d}, annotations: {x: y}}
  spec:
    containers: [{name: other, image: o}, {name: taskmanager, image: i, args: [taskmanager]}]
    restartPolicy: Never";
        let template = read(text).unwrap();
        assert_eq!(template.selector(), "a=b,c=d");
        assert_eq!(template.prefix("7"), "shop-taskmanager-7");
        let owner = OwnerReference { uid: "u".to_owned(), ..OwnerReference::default() };
        let pod = template.pod("shop-taskmanager-7-0", Some(&owner), &[]);
        let args = |pod: &Pod| {
            let spec = pod.spec.clone().unwrap();
            spec.containers.into_iter().map(|each| each.args).collect::<Vec<_>>()
        };
        assert_eq!(args(&pod), [None, Some(vec!["taskmanager".to_owned()])]);
        let more = ["-D".to_owned(), "a=b".to_owned()];
        let with_more = template.pod("shop-taskmanager-w0-0", None, &more);
        let all = ["taskmanager", "-D", "a=b"].map(str::to_owned).to_vec();
        assert_eq!(args(&with_more), [None, Some(all)]);
        assert_eq!(pod.metadata.name.as_deref(), Some("shop-taskmanager-7-0"));
        assert_eq!(pod.metadata.annotations.unwrap()["x"], "y");
        assert_eq!(pod.metadata.owner_references.unwrap()[0].uid, "u");
        assert_eq!(pod.spec.unwrap().restart_policy.as_deref(), Some("Never"));
    }

    #[test]
    fn what_cannot_be_a_template_is_refused_with_its_file() {
        let texts = ["template: {metadata: {labels: {}}}", "kind: PodTemplate", "template: 1", "["];
        for text in texts {
            let refusal = read(text).unwrap_err().to_string();
            assert!(refusal.contains("template.yaml"), "{text}: {refusal}");
        }
    }
}
