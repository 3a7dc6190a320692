//! How `s3://` locations are reached: checkpoints, high availability and file sinks alike.

use std::time::Duration;

use super::option_group;
use crate::configuration::named::Named;
use crate::configuration::{ConfigOption, MemorySize};

/// Where the keys for S3 come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3CredentialsSource {
    /// `s3.access-key` when it is set, else the AWS chain.
    Auto,
    /// `s3.access-key` and `s3.secret-key`.
    Keys,
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// A profile of the AWS files.
    Profile,
    /// A token file that is exchanged for temporary keys.
    WebIdentity,
}

impl Named for S3CredentialsSource {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] = &[
        (Self::Auto, "AUTO", &["auto"]),
        (Self::Keys, "KEYS", &["keys"]),
        (Self::Environment, "ENVIRONMENT", &["environment"]),
        (Self::Profile, "PROFILE", &["profile"]),
        (Self::WebIdentity, "WEB_IDENTITY", &["web-identity"]),
    ];
    const REFUSED: &'static [(&'static str, &'static str)] = &[];
}

/// What makes the object of a file sink appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3UploadCommit {
    /// A copy where the server is known to need it.
    Auto,
    /// The completion of its upload.
    Complete,
    /// A copy that the server makes.
    Copy,
}

impl Named for S3UploadCommit {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] = &[
        (Self::Auto, "AUTO", &["auto"]),
        (Self::Complete, "COMPLETE", &["complete"]),
        (Self::Copy, "COPY", &["copy"]),
    ];
    const REFUSED: &'static [(&'static str, &'static str)] = &[];
}

/// True for the base address of an S3 server.
fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.trim_end_matches('/'));
    host.is_some_and(|host| {
        !host.is_empty()
            && !host.contains(['/', '@', '?', '#'])
            && !host.contains(char::is_whitespace)
    })
}

option_group! {
    "S3";

    /// The server.
    ENDPOINT: Option<String> = ConfigOption::new(
        "s3.endpoint",
        || None,
        "The S3 server, for one that isn't Amazon's. Unset: Amazon's of the region.",
    )
    .for_example("https://minio.example.com:9000")
    .must_be("http:// or https:// with a host and perhaps a port", |endpoint| {
        endpoint.as_deref().is_none_or(is_endpoint)
    });

    /// The region.
    REGION: Option<String> = ConfigOption::new(
        "s3.region",
        || None,
        "The bucket's region. Unset: `AWS_REGION`, else the profile's; else, with `s3.endpoint`, \
         `us-east-1`, and without it what the machine's metadata service says.",
    )
    .for_example("eu-central-1")
    .ours();

    /// How buckets are addressed.
    PATH_STYLE_ACCESS: bool = ConfigOption::new(
        "s3.path.style.access",
        || false,
        "Whether the bucket stands in the path (`http://host/bucket/key`) and not in the host's \
         name. Most servers that aren't Amazon's need it.",
    )
    .also("s3.path-style-access");

    /// Where keys come from.
    CREDENTIALS_SOURCE: S3CredentialsSource = ConfigOption::new(
        "s3.credentials.source",
        || S3CredentialsSource::Auto,
        "Where the keys come from. `KEYS`: `s3.access-key` and `s3.secret-key`. `ENVIRONMENT`: \
         `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`. `PROFILE`: \
         `s3.profile` of AWS's configuration files. `WEB_IDENTITY`: the token in \
         `AWS_WEB_IDENTITY_TOKEN_FILE` for the role `AWS_ROLE_ARN`, as service accounts of \
         Kubernetes have them on Amazon. `AUTO`: the keys if they are set, else the first that \
         is there of environment, profile, web identity, and the container's or machine's role.",
    )
    .ours();

    /// Explicit key.
    ACCESS_KEY: Option<String> = ConfigOption::new(
        "s3.access-key",
        || None,
        "The access key. Better not in a file that others read: see `s3.credentials.source`.",
    );

    /// Explicit secret.
    SECRET_KEY: Option<String> = ConfigOption::new(
        "s3.secret-key",
        || None,
        "The secret that belongs to `s3.access-key`. Not shown in logs and web pages.",
    );

    /// Profile's name.
    PROFILE: Option<String> = ConfigOption::new(
        "s3.profile",
        || None,
        "The profile of AWS's configuration files. Unset: `AWS_PROFILE`, else `default`.",
    )
    .for_example("production")
    .ours();

    /// Time to connect.
    CONNECTION_TIMEOUT: Duration = ConfigOption::new(
        "s3.connection.timeout",
        || Duration::from_secs(5),
        "The longest that connecting to the server may take.",
    )
    .ours()
    .must_be("at least 1 ms", |timeout| *timeout >= Duration::from_millis(1));

    /// Time for one request.
    REQUEST_TIMEOUT: Duration = ConfigOption::new(
        "s3.request.timeout",
        || Duration::from_secs(30),
        "The longest that one request may take; for a read, the longest until its answer begins, \
         and then the longest pause within the answer.",
    )
    .ours()
    .must_be("at least 10 ms", |timeout| *timeout >= Duration::from_millis(10));

    /// Time for all tries of a request.
    RETRY_TIMEOUT: Duration = ConfigOption::new(
        "s3.retry.timeout",
        || Duration::from_secs(60),
        "A request that failed for a passing reason is repeated until this time has gone by since \
         its first try. 0: it isn't repeated.",
    )
    .ours();

    /// First pause.
    RETRY_INITIAL_BACKOFF: Duration = ConfigOption::new(
        "s3.retry.initial-backoff",
        || Duration::from_millis(100),
        "The longest pause before a request's first repetition. It doubles with each one; the \
         pause itself is a random part of it.",
    )
    .ours()
    .must_be("at least 1 ms", |pause| *pause >= Duration::from_millis(1));

    /// Longest pause.
    RETRY_MAX_BACKOFF: Duration = ConfigOption::new(
        "s3.retry.max-backoff",
        || Duration::from_secs(5),
        "The longest pause between two tries of a request.",
    )
    .ours()
    .must_be("at least 1 ms", |pause| *pause >= Duration::from_millis(1));

    /// Size of a part.
    UPLOAD_PART_SIZE: MemorySize = ConfigOption::new(
        "s3.upload.min.part.size",
        || MemorySize::from_bytes(16 << 20),
        "Objects larger than this are uploaded in parts of this size. Each part under way is in \
         memory.",
    )
    .flink_default("5 mb")
    .must_be("from 5 mb to 1 gb", |size| {
        (5 << 20..=1 << 30).contains(&size.bytes())
    });

    /// Parts under way.
    UPLOAD_CONCURRENCY: u32 = ConfigOption::new(
        "s3.upload.max.concurrent.uploads",
        || 4,
        "The number of an object's parts that are uploaded at a time.",
    )
    .flink_default("the number of processors")
    .must_be("from 1 to 64", |uploads| (1..=64).contains(uploads));

    /// How a file sink's objects appear.
    UPLOAD_COMMIT: S3UploadCommit = ConfigOption::new(
        "s3.upload.commit",
        || S3UploadCommit::Auto,
        "What makes an object of a file sink appear when its checkpoint is published. `COMPLETE`: \
         the completion of its upload. `COPY`: a copy that the server makes of an object below \
         `_staged`, for servers that may lose an upload whose completion is broken off. `AUTO`: \
         `COPY` with MinIO, known by the header `Server` of its answers, else `COMPLETE`.",
    )
    .ours();
}
