//! What both ends of a connection say first, and whether they fit.
//!
//! ```text
//! magic 8 bytes | version u32 | build u64 | length u16 | cluster id
//! ```
//!
//! This layout never changes, so that two versions of it can tell each other what differs. The
//! accepting side answers only what begins as a hello does.

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::VERSION;

const MAGIC: [u8; 8] = *b"THALWEGD";
const CLUSTER_ID_BYTES_MAX: usize = 256;

/// Who a process is to its peers; both must match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessIdentity {
    /// Fingerprint of the binary: batches are only readable by the same build.
    pub build: u64,
    /// The cluster's id; at most 256 bytes of it are compared.
    pub cluster: String,
}

/// Why two processes exchange no data.
#[derive(Debug, Error)]
pub(super) enum HelloError {
    #[error("it does not speak this protocol (its first bytes are {0:02x?})")]
    NotAHello([u8; 8]),
    #[error("it ended the connection before it had said who it is")]
    Silent,
    #[error("it speaks version {theirs} of the data protocol, this process {ours}")]
    Version { theirs: u32, ours: u32 },
    #[error(
        "it runs build {theirs:016x}, this process build {ours:016x}: start all processes of a \
         cluster from the same binary"
    )]
    Build { theirs: u64, ours: u64 },
    #[error("it belongs to cluster {theirs:?}, this process to {ours:?}")]
    Cluster { theirs: String, ours: String },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

pub(super) fn encode(identity: &ProcessIdentity) -> Vec<u8> {
    let cluster = compared(&identity.cluster);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&u32::from(VERSION).to_le_bytes());
    bytes.extend_from_slice(&identity.build.to_le_bytes());
    bytes.extend_from_slice(&(cluster.len() as u16).to_le_bytes());
    bytes.extend_from_slice(cluster);
    bytes
}

pub(super) async fn write<W: AsyncWrite + Unpin + ?Sized>(
    writer: &mut W,
    ours: &ProcessIdentity,
) -> std::io::Result<()> {
    writer.write_all(&encode(ours)).await?;
    writer.flush().await
}

/// What a peer has said.
pub(super) struct Hello {
    version: u32,
    build: u64,
    cluster: Vec<u8>,
}

/// Reads a hello, which may say anything.
pub(super) async fn read<R: AsyncRead + Unpin + ?Sized>(
    reader: &mut R,
) -> Result<Hello, HelloError> {
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).await.map_err(silent)?;
    if magic != MAGIC {
        return Err(HelloError::NotAHello(magic));
    }
    let version = reader.read_u32_le().await.map_err(silent)?;
    let build = reader.read_u64_le().await.map_err(silent)?;
    let length = usize::from(reader.read_u16_le().await.map_err(silent)?);
    let mut cluster = vec![0; length.min(CLUSTER_ID_BYTES_MAX)];
    reader.read_exact(&mut cluster).await.map_err(silent)?;
    Ok(Hello { version, build, cluster })
}

/// Whether the peer is one to exchange data with.
pub(super) fn check(theirs: &Hello, ours: &ProcessIdentity) -> Result<(), HelloError> {
    if theirs.version != u32::from(VERSION) {
        return Err(HelloError::Version { theirs: theirs.version, ours: u32::from(VERSION) });
    }
    if theirs.cluster != compared(&ours.cluster) {
        let theirs = String::from_utf8_lossy(&theirs.cluster).into_owned();
        return Err(HelloError::Cluster { theirs, ours: ours.cluster.clone() });
    }
    if theirs.build != ours.build {
        return Err(HelloError::Build { theirs: theirs.build, ours: ours.build });
    }
    Ok(())
}

fn compared(cluster: &str) -> &[u8] {
    &cluster.as_bytes()[..cluster.len().min(CLUSTER_ID_BYTES_MAX)]
}

fn silent(error: std::io::Error) -> HelloError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => HelloError::Silent,
        _ => HelloError::Io(error),
    }
}
