//! The first bytes on a connection: who is there, and do the two understand each other.
//!
//! A hello is 22 bytes: 8 of magic, protocol version (u32), build id (u64), role (u8), zero (u8);
//! numbers little-endian. The listener answers with its own hello, then a status byte and some
//! bytes after their length (u16). Status 0 is a welcome, without bytes; 1 a refusal, with its
//! reason in UTF-8, and 3 one that passes, likewise. Status 2 is for who only asks who leads and
//! says so by its role, whatever its version and build: whether the listener leads itself (u8), the
//! leader's epoch (u64; 0: nobody leads), its address (u16 length, UTF-8), its revision (the rest,
//! UTF-8). The layout is fixed for all versions, so that even builds that share nothing else can
//! tell each other what is wrong. Not here: time limits; the callers set them.

use thalweg_core::ids::Epoch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::leader::{LeaderAddress, LeaderAnswer, SeenLeader};
use crate::transport::ByteStream;

/// The version of the messages. Raised with every change that an older peer can't read, at most
/// once from one release to the next: in between, builds tell peers apart.
pub const PROTOCOL_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"THALWRPC";
const HELLO_BYTES: usize = 22;
const REASON_BYTES_MAX: usize = 1024;
const ADDRESS_BYTES_MAX: usize = 512;
const REVISION_BYTES_MAX: usize = 253;

const JOB_MANAGER: u8 = 1;
const TASK_MANAGER: u8 = 2;
/// A process that asks who leads, and nothing else.
const ASKING: u8 = 3;

const WELCOME: u8 = 0;
const REFUSED: u8 = 1;
/// Says who leads.
const ANSWERED: u8 = 2;
/// Nothing is wrong with who connects: it may come again.
const LATER: u8 = 3;

/// What a TaskManager is told that nobody takes.
const TAKES_NOBODY: &str = "it takes no TaskManagers now: it doesn't lead, or is ending, and as \
                            many as may wait for it already";

/// What one that connects is here for.
#[derive(Debug)]
pub(crate) enum Visit<P> {
    /// A TaskManager, which has this place: messages follow.
    TaskManager(P),
    /// It has asked who leads, and was told.
    Asked,
}

/// What a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The binary's build. Both sides must have the same.
    pub build_id: u64,
}

/// Why two processes can't talk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the peer doesn't speak this protocol (its first bytes are {0:02x?})")]
    NotOurs([u8; 8]),
    #[error(
        "the peer speaks version {0} of the protocol, this process version {PROTOCOL_VERSION}; \
         start both from the same binary or image"
    )]
    Version(u32),
    #[error(
        "the peer was started from another binary (build {peer:016x}, here {own:016x}); start \
         JobManager and TaskManagers from the same binary or image"
    )]
    Build { own: u64, peer: u64 },
    #[error("the peer has the wrong role ({0})")]
    Role(u8),
    #[error("refused by the peer: {0}")]
    Refused(String),
    #[error("refused for now: {0}")]
    Later(String),
}

impl HandshakeError {
    /// Whether another try can't help.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Later(_))
    }
}

fn hello(identity: Identity, role: u8) -> [u8; HELLO_BYTES] {
    let mut bytes = [0; HELLO_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&identity.build_id.to_le_bytes());
    bytes[20] = role;
    bytes
}

/// What the peer says of itself.
#[derive(Debug, Clone, Copy)]
struct Hello {
    version: u32,
    build: u64,
    role: u8,
}

impl Hello {
    fn check(self, own: Identity, role: u8) -> Result<(), HandshakeError> {
        if self.version != PROTOCOL_VERSION {
            return Err(HandshakeError::Version(self.version));
        }
        if self.build != own.build_id {
            return Err(HandshakeError::Build { own: own.build_id, peer: self.build });
        }
        if self.role != role {
            return Err(HandshakeError::Role(self.role));
        }
        Ok(())
    }
}

/// Reads the peer's hello. The magic comes first and is checked first, so that garbage is
/// recognised without waiting for 22 bytes of it.
async fn read_hello(stream: &mut dyn ByteStream) -> Result<Hello, HandshakeError> {
    let mut magic = [0; 8];
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(HandshakeError::NotOurs(magic));
    }
    let version = stream.read_u32_le().await?;
    let build = stream.read_u64_le().await?;
    let role = stream.read_u8().await?;
    stream.read_u8().await?;
    Ok(Hello { version, build, role })
}

/// The JobManager's part. When the peer can't be accepted it is told why; who asks is told whom
/// this JobManager sees leading. A TaskManager is welcome if `place` gives one for it.
pub(crate) async fn welcome<P>(
    stream: &mut dyn ByteStream,
    own: Identity,
    seen: &SeenLeader,
    place: impl FnOnce() -> Option<P>,
) -> Result<Visit<P>, HandshakeError> {
    let result = match read_hello(stream).await {
        Err(HandshakeError::Io(error)) => return Err(HandshakeError::Io(error)),
        Ok(hello) if hello.role == ASKING => {
            stream.write_all(&answer_who_leads(own, seen)).await?;
            stream.flush().await?;
            return Ok(Visit::Asked);
        }
        Ok(hello) => hello
            .check(own, TASK_MANAGER)
            .and_then(|()| place().ok_or_else(|| HandshakeError::Later(TAKES_NOBODY.to_owned()))),
        Err(error) => Err(error),
    };
    let mut answer = hello(own, JOB_MANAGER).to_vec();
    let (status, reason) = match &result {
        Ok(_) => (WELCOME, String::new()),
        Err(HandshakeError::Later(why)) => (LATER, why.clone()),
        Err(error) => (REFUSED, refusal(error, own)),
    };
    let length = reason.len().min(REASON_BYTES_MAX);
    answer.push(status);
    answer.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_le_bytes());
    answer.extend_from_slice(&reason.as_bytes()[..length]);
    stream.write_all(&answer).await?;
    stream.flush().await?;
    result.map(Visit::TaskManager)
}

fn answer_who_leads(own: Identity, seen: &SeenLeader) -> Vec<u8> {
    // An address that can't be said is nobody's.
    let leader = seen.leader.as_ref().filter(|leader| {
        leader.address.len() <= ADDRESS_BYTES_MAX && leader.revision.len() <= REVISION_BYTES_MAX
    });
    let (epoch, address, revision) = leader.map_or((0, "", ""), |leader| {
        (leader.epoch.0, leader.address.as_str(), leader.revision.as_str())
    });
    let mut said = vec![u8::from(seen.itself)];
    said.extend_from_slice(&epoch.to_le_bytes());
    said.extend_from_slice(&u16::try_from(address.len()).unwrap_or(0).to_le_bytes());
    said.extend_from_slice(address.as_bytes());
    said.extend_from_slice(revision.as_bytes());
    let mut answer = hello(own, JOB_MANAGER).to_vec();
    answer.push(ANSWERED);
    answer.extend_from_slice(&u16::try_from(said.len()).unwrap_or(0).to_le_bytes());
    answer.extend_from_slice(&said);
    answer
}

/// Asks a JobManager, of whatever version and build, who leads.
pub(crate) async fn ask_for_leader(
    stream: &mut dyn ByteStream,
    own: Identity,
) -> Result<LeaderAnswer, HandshakeError> {
    stream.write_all(&hello(own, ASKING)).await?;
    stream.flush().await?;
    let hello = read_hello(stream).await?;
    if hello.role != JOB_MANAGER {
        return Err(HandshakeError::Role(hello.role));
    }
    let (status, said) = read_status(stream).await?;
    if status != ANSWERED {
        return Err(refused(&said));
    }
    let Some((&[itself, ref epoch @ .., low, high], texts)) = said.split_first_chunk::<11>() else {
        return Err(refused(&said));
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    let Some((address, revision)) = texts.split_at_checked(length) else {
        return Err(refused(&said));
    };
    let epoch = Epoch(u64::from_le_bytes(*epoch));
    let [address, revision] =
        [address, revision].map(|text| String::from_utf8_lossy(text).into_owned());
    let leader = (epoch.0 > 0).then_some(LeaderAddress { address, epoch, revision });
    Ok(LeaderAnswer { build_id: hello.build, seen: SeenLeader { leader, itself: itself != 0 } })
}

fn refused(reason: &[u8]) -> HandshakeError {
    HandshakeError::Refused(String::from_utf8_lossy(reason).into_owned())
}

async fn read_status(stream: &mut dyn ByteStream) -> std::io::Result<(u8, Vec<u8>)> {
    let status = stream.read_u8().await?;
    let length = usize::from(stream.read_u16_le().await?).min(REASON_BYTES_MAX);
    let mut said = vec![0; length];
    stream.read_exact(&mut said).await?;
    Ok((status, said))
}

/// What the refused peer is told, from its own point of view.
fn refusal(error: &HandshakeError, own: Identity) -> String {
    match error {
        HandshakeError::Version(version) => format!(
            "this JobManager speaks version {PROTOCOL_VERSION} of the protocol, not {version}; \
             start both from the same binary or image"
        ),
        HandshakeError::Build { peer, .. } => format!(
            "this JobManager was started from another binary (build {:016x}) than the process \
             that connects (build {peer:016x}); start both from the same binary or image",
            own.build_id
        ),
        HandshakeError::NotOurs(_) => {
            "this is the RPC port of a Thalweg JobManager; REST is on rest.port".to_owned()
        }
        HandshakeError::Io(_)
        | HandshakeError::Role(_)
        | HandshakeError::Refused(_)
        | HandshakeError::Later(_) => "only TaskManagers connect to this port".to_owned(),
    }
}

/// The TaskManager's part.
pub(crate) async fn introduce(
    stream: &mut dyn ByteStream,
    own: Identity,
) -> Result<(), HandshakeError> {
    stream.write_all(&hello(own, TASK_MANAGER)).await?;
    stream.flush().await?;
    let hello = read_hello(stream).await?;
    match read_status(stream).await? {
        (WELCOME, _) => hello.check(own, JOB_MANAGER),
        (LATER, reason) => {
            Err(HandshakeError::Later(String::from_utf8_lossy(&reason).into_owned()))
        }
        (_, reason) => Err(refused(&reason)),
    }
}
