//! Where bytes outlive a process: blob stores and checkpoint manifests.
