//! What a process in Kubernetes is told of its surroundings. The operator sets all of it.

use std::time::Duration;

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Kubernetes";

    /// The namespace.
    NAMESPACE: String = ConfigOption::new(
        "kubernetes.namespace",
        || "default".to_owned(),
        "The namespace that the application is in.",
    );

    /// The Lease that JobManagers campaign for.
    LEASE: Option<String> = ConfigOption::new(
        "kubernetes.lease",
        || None,
        "The Lease that says whose turn it is to lead. Set, JobManagers go by it instead of the \
         hint in the store: a leader whose pod is gone is replaced at once. What keeps two leaders \
         apart is the log in `high-availability.storageDir` all the same, which must be set too.",
    );

    /// The revision of the application.
    REVISION: Option<String> = ConfigOption::new(
        "kubernetes.revision",
        || None,
        "The revision of the application that this process runs. A JobManager campaigns only for a \
         Lease whose annotation `thalweg.dev/revision` names it, or that has none.",
    );

    /// The process's pod.
    POD_NAME: Option<String> = ConfigOption::new(
        "kubernetes.pod.name",
        || None,
        "The name of the pod that the process runs in.",
    );

    /// Tells it from another pod of that name.
    POD_UID: Option<String> = ConfigOption::new(
        "kubernetes.pod.uid",
        || None,
        "The uid of the pod that the process runs in.",
    );

    /// What TaskManager pods look like.
    TASKMANAGER_TEMPLATE: Option<String> = ConfigOption::new(
        "kubernetes.taskmanager.template",
        || None,
        "A file with the Pod, in YAML, that TaskManagers are started in. Set, the JobManager makes \
         as many of them as its jobs need and deletes those that aren't needed any more; their \
         names begin with the `generateName` of the file.",
    );

    /// Who owns them.
    DEPLOYMENT: Option<String> = ConfigOption::new(
        "kubernetes.deployment",
        || None,
        "The Deployment that the pods of TaskManagers belong to: they are deleted with it.",
    );

    /// How many wait for work.
    TASKMANAGER_STANDBY: u32 = ConfigOption::new(
        "kubernetes.taskmanager.standby",
        || 0,
        "How many TaskManagers more than are needed are kept ready for the loss of one.",
    )
    .must_be("from 0 to 100", |count| *count <= 100);

    /// How long a pod may take.
    TASKMANAGER_START_TIMEOUT: Duration = ConfigOption::new(
        "kubernetes.taskmanager.start-timeout",
        || Duration::from_secs(300),
        "How long a pod may take until its TaskManager has registered; then it is replaced by \
         another one.",
    )
    .must_be("at least 1 s", |timeout| *timeout >= Duration::from_secs(1));
}
