//! MinIO as a process of its own, on a folder that goes with it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use thalweg_storage::blob::s3::{RetrySettings, S3Credentials, S3Settings, UploadCommit};

/// The access key of the server.
pub const ACCESS_KEY: &str = "thalweg-tests";
/// Its secret.
pub const SECRET_KEY: &str = "thalweg-tests-secret";
/// A bucket that is there.
pub const BUCKET: &str = "thalweg";

/// How often it is asked whether it is ready, [`POLL`] apart: a minute.
const READY_ASKED_MAX: u32 = 4_000;
const POLL: Duration = Duration::from_millis(15);
/// How often it is started on another port, when somebody else was quicker to take one.
const STARTS_MAX: u32 = 5;

/// The server that tests share, as long as any of them uses it.
static SHARED: Mutex<Weak<Minio>> = Mutex::new(Weak::new());

/// A running server. Dropped, it is killed and its data is removed.
#[derive(Debug)]
pub struct Minio {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Minio {
    /// The server of this process's tests, started by the first that needs it. Each test keeps to
    /// a prefix of its own.
    ///
    /// # Panics
    /// It can't be installed or started.
    pub fn shared() -> Arc<Minio> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let minio = Arc::new(Minio::start());
        *shared = Arc::downgrade(&minio);
        minio
    }

    /// Starts a server with the bucket [`BUCKET`].
    ///
    /// # Panics
    /// It can't be installed or started.
    pub fn start() -> Minio {
        let binary = binary();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        // A bucket is a folder of the drive.
        fs::create_dir_all(folder.path().join("drive").join(BUCKET)).expect("a folder is made");
        for _ in 0..STARTS_MAX {
            let port = free_port();
            let mut child = spawn(&binary, folder.path(), port);
            if is_ready(&mut child, port) {
                return Minio { child, folder, port };
            }
            drop(child.kill());
            drop(child.wait());
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("MinIO doesn't start:\n{log}");
    }

    /// Where it is reached: host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it is reached, as `s3.endpoint` wants it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The configuration keys by which a process reaches it at an endpoint.
    pub fn settings(endpoint: &str) -> Vec<(String, String)> {
        [
            ("s3.endpoint", endpoint),
            ("s3.path.style.access", "true"),
            ("s3.access-key", ACCESS_KEY),
            ("s3.secret-key", SECRET_KEY),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// How a store of the test itself reaches it at an endpoint.
    pub fn client_settings(endpoint: &str) -> S3Settings {
        S3Settings {
            endpoint: Some(endpoint.to_owned()),
            region: None,
            path_style: true,
            credentials: S3Credentials::Keys {
                access: ACCESS_KEY.to_owned(),
                secret: SECRET_KEY.to_owned(),
            },
            profile: None,
            connection_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            retry: RetrySettings {
                timeout: Duration::from_secs(30),
                initial_backoff: Duration::from_millis(5),
                max_backoff: Duration::from_millis(50),
            },
            part_bytes: 5 << 20,
            concurrent_parts: 3,
            upload_commit: UploadCommit::Auto,
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("---- MinIO's log ----\n{}", self.log().trim_end());
        }
    }
}

/// The server's binary: installed by the project's script, which does nothing when it is there.
fn binary() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/install-minio");
    let installed = Command::new(&script).stderr(Stdio::inherit()).output();
    let installed = installed.unwrap_or_else(|e| panic!("{} can't run: {e}", script.display()));
    assert!(installed.status.success(), "{} has failed; it says why above", script.display());
    PathBuf::from(String::from_utf8_lossy(&installed.stdout).trim())
}

fn spawn(binary: &Path, folder: &Path, port: u16) -> Child {
    let log = fs::File::create(folder.join("log")).expect("a file can be made");
    let errors = log.try_clone().expect("a file can be shared");
    Command::new(binary)
        .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
        .arg(folder.join("drive"))
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .env("MINIO_BROWSER", "off")
        // It asks nobody whether there's a newer one.
        .env("MINIO_UPDATE", "off")
        // A temporary folder may be on the drive of the system.
        .env("MINIO_CI_CD", "1")
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|e| panic!("{} can't run: {e}", binary.display()))
}

/// Waits until it answers; false if it ends instead.
fn is_ready(child: &mut Child, port: u16) -> bool {
    for _ in 0..READY_ASKED_MAX {
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        if answers(port) {
            return true;
        }
        thread::park_timeout(POLL);
    }
    false
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = "GET /minio/health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let mut answer = [0; 12];
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
