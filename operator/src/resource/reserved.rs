//! Keys of the engine that may not stand in `spec.configuration`, and what to use instead.
//!
//! Not here: keys that look like secrets; `thalweg_core::configuration::is_secret` knows those.

/// Keys that are reserved for one reason.
#[derive(Debug)]
pub struct ReservedKeys {
    /// Exactly these.
    pub keys: &'static [&'static str],
    /// Whatever begins so.
    pub prefixes: &'static [&'static str],
    /// What to do instead.
    pub instead: &'static str,
}

/// All of them.
pub const RESERVED: &[ReservedKeys] = &[
    ReservedKeys {
        keys: &[
            "jobmanager.rpc.address",
            "jobmanager.rpc.port",
            "jobmanager.bind-host",
            "taskmanager.host",
            "taskmanager.resource-id",
            "taskmanager.bind-host",
            "taskmanager.data.port",
            "rest.address",
            "rest.port",
            "rest.bind-host",
            "rest.bind-address",
            "metrics.port",
            "metrics.bind-host",
        ],
        prefixes: &["kubernetes."],
        instead: "addresses and ports are the operator's: remove the key",
    },
    ReservedKeys {
        keys: &[
            "execution.checkpointing.dir",
            "execution.checkpointing.savepoint-dir",
            "execution.checkpointing.interval",
            "execution.checkpointing.timeout",
            "execution.checkpointing.min-pause",
            "execution.checkpointing.num-retained",
            "execution.checkpointing.local-backup.dirs",
            "state.backend.type",
            "state.backend",
            "state.checkpoints.dir",
            "state.savepoints.dir",
        ],
        prefixes: &["execution.state-recovery.", "execution.savepoint."],
        instead: "use the fields of spec.state, and spec.taskManager.localStorage",
    },
    ReservedKeys {
        keys: &["high-availability"],
        prefixes: &["high-availability."],
        instead: "identity and storage follow from the resource's name and \
                  spec.state.checkpoints.location; use spec.highAvailability for the Lease",
    },
    ReservedKeys {
        keys: &[],
        prefixes: &["security.ssl."],
        instead: "certificates are the operator's: remove the key",
    },
    ReservedKeys {
        keys: &["taskmanager.termination-grace-period"],
        prefixes: &[],
        instead: "use terminationGracePeriodSeconds of spec.taskManager.podTemplate",
    },
    ReservedKeys {
        keys: &["taskmanager.memory.process.size"],
        prefixes: &["jobmanager.memory."],
        instead: "use resources.limits.memory of spec.taskManager or spec.jobManager: it is the \
                  one memory number",
    },
    ReservedKeys {
        keys: &[
            "parallelism.default",
            "pipeline.max-parallelism",
            "taskmanager.numberOfTaskSlots",
            "resourcemanager.taskmanager-timeout",
        ],
        prefixes: &["restart-strategy"],
        instead: "use parallelism, maxParallelism and restartStrategy of spec.job, and slots and \
                  idleTimeoutSeconds of spec.taskManager",
    },
];

impl ReservedKeys {
    /// Whether a key is one of these.
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains(&key) || self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }
}
