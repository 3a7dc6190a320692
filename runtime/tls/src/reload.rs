//! A process's TLS: its files, read again at each connection and taken when they have changed and
//! can be used. Kubernetes changes the files of a Secret's volume by swapping a symbolic link, also
//! between two of the three reads: what doesn't fit together is left, and looked at again with the
//! next connection. Open connections go on as they began.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};
use thalweg_core::clock::Clock;

use crate::error::TlsError;
use crate::identity::{CertificateIdentity, Role};
use crate::material::{Material, Pem};

/// Makes secure connections. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None: they came from elsewhere, and never change.
    directory: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pem: Pem,
    material: Arc<Material>,
    /// What was looked at last and can't be used, so that it is told once.
    refused: Option<Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Refused {
    Content(Pem),
    Unreadable(String),
}

impl Tls {
    /// With the files in `directory`, which must be those of a process in this role.
    ///
    /// # Errors
    /// They can't be read or used.
    pub fn open(directory: &Path, role: Role, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let pem = Pem::read(directory)?;
        Self::new(Some(directory.to_owned()), pem, role, clock)
    }

    /// With what came from elsewhere than files.
    ///
    /// # Errors
    /// It can't be used.
    pub fn from_pem(pem: Pem, role: Role, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        Self::new(None, pem, role, clock)
    }

    fn new(
        directory: Option<PathBuf>,
        pem: Pem,
        role: Role,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let material = Material::check_by(&pem, &provider, seconds(clock.as_ref()))?;
        if material.identity().role != role {
            let actual = material.identity().clone();
            return Err(TlsError::OtherRole { actual, expected: role });
        }
        let state = State { pem, material: Arc::new(material), refused: None };
        let shared = Shared { directory, clock, provider, state: Mutex::new(state) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whose certificate it is.
    pub fn identity(&self) -> CertificateIdentity {
        self.shared.state.lock().material.identity().clone()
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.shared.provider
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// What counts now: of the files as they are, if they can be used.
    pub(crate) async fn current(&self) -> Arc<Material> {
        if let Some(directory) = self.shared.directory.clone() {
            // Cancelled only when the process ends; then the old ones do.
            let read = tokio::task::spawn_blocking(move || Pem::read(&directory)).await;
            if let Ok(read) = read {
                self.take(read);
            }
        }
        Arc::clone(&self.shared.state.lock().material)
    }

    fn take(&self, read: Result<Pem, TlsError>) {
        let mut state = self.shared.state.lock();
        let pem = match read {
            Ok(pem) if pem == state.pem => return,
            Ok(pem) => pem,
            Err(error) => return state.refuse(Refused::Unreadable(error.to_string()), &error),
        };
        if state.refused.as_ref() == Some(&Refused::Content(pem.clone())) {
            return;
        }
        let now = seconds(self.shared.clock.as_ref());
        match Material::check_by(&pem, &self.shared.provider, now)
            .and_then(|new| same_identity(new, &state.material))
        {
            Ok(material) => {
                let until = crate::validity::shown(material.validity().not_after);
                tracing::info!("a new certificate is in use, which counts until {until}");
                *state = State { pem, material: Arc::new(material), refused: None };
            }
            Err(error) => state.refuse(Refused::Content(pem), &error),
        }
    }
}

impl State {
    fn refuse(&mut self, what: Refused, error: &TlsError) {
        if self.refused.as_ref() != Some(&what) {
            tracing::warn!("the new certificate can't be used, the old one stays: {error}");
            self.refused = Some(what);
        }
    }
}

fn same_identity(new: Material, old: &Material) -> Result<Material, TlsError> {
    if new.identity() == old.identity() {
        return Ok(new);
    }
    let (new, old) = (new.identity().clone(), old.identity().clone());
    Err(TlsError::OtherIdentity { new, old })
}

fn seconds(clock: &dyn Clock) -> i64 {
    clock.wall_ms().div_euclid(1000)
}
