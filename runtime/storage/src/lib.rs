//! Where bytes outlive a process: blob stores, and the checkpoints in them.
//!
//! [`BlobStore`] is the contract; [`DirectoryStore`] and [`MemoryStore`] fulfil it.
//! [`CheckpointManifest`] says which objects make up a checkpoint, and [`layout`] is the only
//! place that names them. No tokio here: a store does its work inside the future that it
//! returns, and callers on an async runtime put blocking stores where blocking is allowed.
//! Not here: what the objects hold, which is `thalweg-state`'s, and when checkpoints are taken.

pub mod blob;
pub mod inventory;
pub mod layout;
pub mod log;
pub mod manifest;
pub mod sealed;

pub use self::blob::{
    BlobError, BlobFuture, BlobPath, BlobPathError, BlobStore, BlobStoreOpener, DirectoryStore,
    LocalStores, MemoryStore, PutOutcome,
};
pub use self::manifest::{
    CheckpointKind, CheckpointManifest, CoordinatorState, KeyGroups, ManifestError,
    OperatorManifest, SubtaskManifest,
};
