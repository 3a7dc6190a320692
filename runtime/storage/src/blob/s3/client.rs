//! A connection to one S3 server with one set of keys: makes requests, repeats those that may
//! succeed later, and counts them. Not here: what is requested.
//!
//! It brings its own thread. So a store's futures can be awaited on any executor, or on none, and
//! a request goes on while the caller does something else.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::{BlobError, BlobErrorKind, RequestKind, RequestMetrics, RequestOutcome};
use super::failure::Failure;
use super::retry::{self, Jitter};
use super::server::Server;
use super::settings::{S3Credentials, S3Settings};

/// The region's name for servers that have none.
const NO_REGION: &str = "us-east-1";

/// A client of an S3 server. Clones are the same one, with the same counters.
#[derive(Clone)]
pub struct S3Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: S3Settings,
    client: OnceCell<Client>,
    requests: Arc<RequestMetrics>,
    server: Server,
    jitter: Mutex<Jitter>,
    /// Taken out when the last client is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Doesn't wait: this may be a thread of an async runtime.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for S3Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Client({:?})", self.shared.settings)
    }
}

/// What becomes of a request: ended when this is dropped.
struct Running<T>(JoinHandle<Result<T, BlobError>>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Running<T> {
    type Output = Result<T, BlobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| {
                let (action, place) = ("finish the request to", "the S3 server".to_owned());
                let source = io::Error::other(error);
                Err(BlobError { action, place, kind: BlobErrorKind::Other, source })
            })
        })
    }
}

/// Whether a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// While it may help and the time isn't over.
    Yes,
    /// Never: who has asked settles what is unknown.
    No,
}

impl S3Client {
    /// A client. Nothing is connected yet. `seed` decides how long it waits before it repeats
    /// something: no two processes should have the same.
    ///
    /// # Errors
    /// The process can't have another thread.
    pub fn new(settings: S3Settings, seed: u64) -> Result<S3Client, BlobError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("thalweg-s3")
            .enable_all()
            .build()
            .map_err(|error| BlobError::new("start a thread for", "S3", error))?;
        let shared = Shared {
            settings,
            client: OnceCell::new(),
            requests: Arc::default(),
            server: Server::default(),
            jitter: Mutex::new(Jitter::new(seed)),
            runtime: Some(runtime),
        };
        Ok(S3Client { shared: Arc::new(shared) })
    }

    /// What it was made with.
    pub fn settings(&self) -> &S3Settings {
        &self.shared.settings
    }

    /// The counters of its requests.
    pub fn requests(&self) -> &Arc<RequestMetrics> {
        &self.shared.requests
    }

    /// What the server's answers have said about it.
    pub(super) fn server(&self) -> &Server {
        &self.shared.server
    }

    /// A random number.
    pub(super) fn random(&self) -> u64 {
        self.shared.jitter.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Does something on the client's thread, beginning now.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, BlobError>> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send>> {
        match &self.shared.runtime {
            Some(runtime) => Box::pin(Running(runtime.spawn(work))),
            // It's there until the last client is gone.
            None => Box::pin(work),
        }
    }

    /// Does something on the client's thread that nobody waits for.
    pub(super) fn spawn_alone(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.shared.runtime {
            drop(runtime.spawn(work));
        }
    }

    /// Makes a request, and again while it fails for a passing reason. `action` and `place` say in
    /// errors what was tried on what.
    pub(super) async fn request<T, F>(
        &self,
        kind: RequestKind,
        repeat: Repeat,
        (action, place): (&'static str, &str),
        attempt: impl Fn(Client) -> F,
    ) -> Result<T, BlobError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let settings = &self.shared.settings;
        let first = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let began = Instant::now();
            let result = attempt(self.client().await.clone()).await;
            let outcome = match &result {
                Ok(_) => RequestOutcome::Success,
                Err(failure) => failure.outcome,
            };
            self.shared.requests.note(kind, outcome, began.elapsed());
            let failure = match result {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let again = failure.is_passing() && repeat == Repeat::Yes;
            let pause = retry::pause(&settings.retry, tries, first.elapsed(), self.random());
            match pause.filter(|_| again) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure.into_error(action, place, tries)),
            }
        }
    }

    async fn client(&self) -> &Client {
        let connect = || connect(&self.shared.settings, self.shared.server.clone());
        self.shared.client.get_or_init(connect).await
    }
}

/// Makes the SDK's client. Nothing is sent to the server, but finding the keys and the region may
/// read files and ask the machine's metadata service.
async fn connect(settings: &S3Settings, server: Server) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connection_timeout)
        .operation_attempt_timeout(settings.request_timeout)
        .build();
    let region = region(settings, &http).region().await;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .timeout_config(timeouts)
        // `S3Client::request` repeats: it counts each try, and a conditional write has but one.
        .retry_config(RetryConfig::disabled())
        .region(region.clone());
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    let shared = credentials(loader, settings, http, region).load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared).interceptor(server);
    config.set_force_path_style(Some(settings.path_style));
    if let Some(endpoint) = &settings.endpoint {
        config.set_endpoint_url(Some(endpoint.clone()));
    }
    Client::from_conf(config.build())
}

fn region(settings: &S3Settings, http: &SharedHttpClient) -> RegionProviderChain {
    if let Some(region) = &settings.region {
        return RegionProviderChain::first_try(Region::new(region.clone()));
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build());
    match settings.endpoint {
        // Such servers take any region, and this machine has no metadata service to be asked.
        Some(_) => chain.or_else(Region::from_static(NO_REGION)),
        None => {
            // The chain's own default has no client of its own to ask with, and panics.
            let provider = ProviderConfig::without_region().with_http_client(http.clone());
            chain.or_else(ImdsRegionProvider::builder().configure(&provider).build())
        }
    }
}

fn credentials(
    loader: ConfigLoader,
    settings: &S3Settings,
    http: SharedHttpClient,
    region: Option<Region>,
) -> ConfigLoader {
    let provider = ProviderConfig::without_region().with_http_client(http).with_region(region);
    match &settings.credentials {
        S3Credentials::Auto => loader,
        S3Credentials::Keys { access, secret } => loader.credentials_provider(Credentials::new(
            access,
            secret,
            None,
            None,
            "configuration",
        )),
        S3Credentials::Environment => {
            loader.credentials_provider(EnvironmentVariableCredentialsProvider::new())
        }
        S3Credentials::Profile => {
            let mut profile = ProfileFileCredentialsProvider::builder().configure(&provider);
            if let Some(name) = &settings.profile {
                profile = profile.profile_name(name);
            }
            loader.credentials_provider(profile.build())
        }
        S3Credentials::WebIdentity => loader.credentials_provider(
            WebIdentityTokenCredentialsProvider::builder().configure(&provider).build(),
        ),
    }
}
