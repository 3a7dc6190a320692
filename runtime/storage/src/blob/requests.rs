//! How many requests a store has made, of which kind and with which outcome: for metrics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Declares an enumeration of names in metrics.
macro_rules! names {
    (
        $(#[$doc:meta])*
        $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// Its name in metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names! {
    /// What was asked of the store.
    RequestKind {
        /// Write an object.
        Put = "put",
        /// Write an object unless it exists.
        PutIfAbsent = "put_if_absent",
        /// Read an object or a part of it.
        Get = "get",
        /// Look whether an object is there.
        Head = "head",
        /// A page of a listing.
        List = "list",
        /// Copy an object.
        Copy = "copy",
        /// Delete an object.
        Delete = "delete",
        /// Begin an upload.
        BeginUpload = "begin_upload",
        /// Upload a part.
        UploadPart = "upload_part",
        /// Complete an upload.
        CompleteUpload = "complete_upload",
        /// Abort an upload.
        AbortUpload = "abort_upload",
        /// A page of the uploads under way.
        ListUploads = "list_uploads",
    }
}

names! {
    /// How a request ended.
    RequestOutcome {
        /// It was done.
        Success = "success",
        /// What it is about isn't there.
        NotFound = "not_found",
        /// The object is there, so it wasn't created.
        Exists = "exists",
        /// The server says that another request came in between.
        Conflict = "conflict",
        /// It isn't permitted, or the keys aren't known or not there.
        Denied = "denied",
        /// The server asks for fewer requests.
        Throttled = "throttled",
        /// The server failed.
        ServerError = "server_error",
        /// The server can't do this, whenever it is asked.
        Refused = "refused",
        /// No answer came in time.
        Timeout = "timeout",
        /// The server can't be reached, or has broken the connection.
        Unreachable = "unreachable",
    }
}

const KINDS: usize = RequestKind::ALL.len();
const OUTCOMES: usize = RequestOutcome::ALL.len();

/// Counters of a store's requests; each try counts. Shared by all stores of a client.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    counts: [[AtomicU64; OUTCOMES]; KINDS],
    nanoseconds: [AtomicU64; KINDS],
    sent: AtomicU64,
    received: AtomicU64,
}

/// The requests of one kind and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount {
    /// The kind.
    pub kind: RequestKind,
    /// The outcome.
    pub outcome: RequestOutcome,
    /// How many, since the process started.
    pub count: u64,
}

impl RequestMetrics {
    /// Counts a request that took this long.
    pub fn note(&self, kind: RequestKind, outcome: RequestOutcome, took: Duration) {
        self.counts[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[kind as usize].fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Counts bytes of content that were written.
    pub fn note_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of content that were read.
    pub fn note_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many requests of this kind had this outcome.
    pub fn count(&self, kind: RequestKind, outcome: RequestOutcome) -> u64 {
        self.counts[kind as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// All counts that aren't 0.
    pub fn counts(&self) -> Vec<RequestCount> {
        let all = RequestKind::ALL.iter().flat_map(|kind| {
            let count =
                |outcome| RequestCount { kind: *kind, outcome, count: self.count(*kind, outcome) };
            RequestOutcome::ALL.iter().map(move |outcome| count(*outcome))
        });
        all.filter(|count| count.count > 0).collect()
    }

    /// The time that all requests of a kind took together.
    pub fn time(&self, kind: RequestKind) -> Duration {
        Duration::from_nanos(self.nanoseconds[kind as usize].load(Ordering::Relaxed))
    }

    /// Bytes of content that were written.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of content that were read.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
