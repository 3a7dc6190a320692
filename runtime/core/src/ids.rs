//! Every identifier, each a type of its own, so that one can't be passed for another.
//!
//! Ids are derived (from names and ordinals) or drawn by the caller from a random source that was
//! passed in; nothing here draws randomness. They display as Flink's do: 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The text given isn't 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: 32 hexadecimal digits are expected")]
pub struct ParseIdError {
    text: String,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// The id with these bits.
            pub const fn new(bits: u128) -> Self {
                Self(bits)
            }

            /// The id that stands for `text`: the same text gives the same id, everywhere.
            pub fn derive(text: &str) -> Self {
                Self(xxh3_128(text.as_bytes()))
            }

            /// The id's bits.
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                u128::from_str_radix(text, 16)
                    .ok()
                    .filter(|_| hex)
                    .map(Self)
                    .ok_or_else(|| ParseIdError { text: text.chars().take(64).collect() })
            }
        }
    };
}

hex_id!(
    /// A job: one `execute()` of an application. Derived from the cluster id and the ordinal of
    /// the `execute()` call, so that a restarted JobManager finds its jobs again.
    JobId
);
hex_id!(
    /// A vertex of the JobGraph: a chain of operators. Derived from the head operator's id.
    JobVertexId
);
hex_id!(
    /// An operator. Derived from its uid, else from its name and its place in the program.
    OperatorId
);
hex_id!(
    /// One attempt to run one subtask.
    ExecutionAttemptId
);
hex_id!(
    /// The claim of a job on one slot of a TaskManager.
    AllocationId
);

hex_id!(
    /// Something that a user set going and asks after: a savepoint, a stop, a checkpoint. Chosen by
    /// whoever asks, so that a repeated request is the same one.
    TriggerId
);

/// The job id of the `ordinal`-th `execute()` (from 0) of the application `cluster_id`.
pub fn job_id(cluster_id: &str, ordinal: u32) -> JobId {
    JobId::derive(&format!("{cluster_id}/{ordinal}"))
}

/// The id of the log that decides who leads the cluster of the application `cluster_id`. No
/// `execute()` has it.
pub fn cluster_log_id(cluster_id: &str) -> JobId {
    JobId::derive(&format!("{cluster_id}/leader"))
}

/// A TaskManager's process: its host and port with a random suffix, or what it was started with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
pub struct TaskManagerId(pub String);

impl fmt::Display for TaskManagerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The leader's term. Rises with every claim; a message of a lower epoch is obeyed by nobody.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug, Default,
)]
pub struct Epoch(pub u64);

/// A checkpoint's number. Rises for the whole life of a job; the first one is 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug, Default,
)]
pub struct CheckpointId(pub u64);

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which subtask of a vertex: 0 to parallelism - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
pub struct SubtaskId {
    /// The vertex.
    pub vertex: JobVertexId,
    /// The subtask's index, from 0.
    pub index: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_display_and_other_text_is_refused() {
        let id = job_id("fraud-detection", 0);
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        assert_ne!(id, job_id("fraud-detection", 1));
        for text in ["", "12", "+0000000000000000000000000000001", &"g".repeat(32), &"0".repeat(33)]
        {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
