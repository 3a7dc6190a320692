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

    /// The resource that the process belongs to.
    APPLICATION: Option<String> = ConfigOption::new(
        "kubernetes.application.name",
        || None,
        "The FlinkApplication that the process belongs to. The leading JobManager writes its \
         status; the Lease that JobManagers campaign for has the same name.",
    );

    /// Tells it from another one of that name.
    APPLICATION_UID: Option<String> = ConfigOption::new(
        "kubernetes.application.uid",
        || None,
        "The uid of the FlinkApplication: the status of a later one of that name isn't written.",
    );

    /// Savepoints in the status.
    SAVEPOINT_HISTORY: u32 = ConfigOption::new(
        "kubernetes.savepoint-history",
        || 10,
        "How many savepoints the status of the FlinkApplication lists, the latest first.",
    )
    .must_be("from 0 to 10", |count| *count <= 10);

    /// The revision of the application.
    REVISION: Option<String> = ConfigOption::new(
        "kubernetes.revision",
        || None,
        "The revision of the application that this process runs, which is its Deployment's name \
         too. A JobManager campaigns only for a Lease whose annotation \
         `thalweg.dev/revision` names it, or that has none; while that names another one and \
         `thalweg.dev/preparing-revision` this one, it gets its TaskManagers ready. A TaskManager \
         follows leaders of its own revision only.",
    );

    /// Where the JobManager is that gets this TaskManager ready.
    PREPARING_JOB_MANAGER: Option<String> = ConfigOption::new(
        "kubernetes.preparing-jobmanager",
        || None,
        "Host and port of the JobManager that has made this TaskManager's pod before it leads: the \
         TaskManager registers there while no JobManager of its revision leads. The JobManager \
         sets it.",
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
        "A file with a PodTemplate, in YAML: the pods that TaskManagers are started in. Set, the \
         JobManager makes as many of them as its jobs need and deletes those that aren't needed \
         any more. They belong to the Deployment that is named like the revision.",
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
