//! What a process does for high availability: opens the records, campaigns, finds the leader. On
//! when `high-availability.storageDir` is set. Not here: what any of it means (`jobmanager`).

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{high_availability as options, jobmanager, kubernetes};
use thalweg_core::ids::Epoch;
use thalweg_jobmanager::endpoint::{CheckpointStore, EndReason};
use thalweg_jobmanager::high_availability::{
    HighAvailabilityError, HintLocator, LeaderElection, Loss, Records, RecordsOptions,
    StandaloneElection, StoreElection, off_thread,
};
use thalweg_jobmanager::rest::KnownLeader;
use thalweg_rpc::{
    Connector, Identity, LeaderAddress, LeaderLocator, LeaderView, RevisionLocator, ServiceLocator,
    SystemResolver, Transport,
};
use thalweg_storage::log::WriterId;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use super::executor::process_seed;
use super::settings::ProcessError;
use super::stores::Stores;

/// The exit code of a JobManager that another one has taken the place of.
const EXIT_NOT_LEADING: u8 = 3;
/// That of one which was ended by a signal and has left its jobs to the next one: what shells give
/// to whom SIGTERM ends.
const EXIT_SUSPENDED: u8 = 143;

/// Where others find a JobManager: hosts and ports.
pub(super) struct Place {
    /// For TaskManagers.
    pub(super) rpc: String,
    /// For clients, and for JobManagers that stand by.
    pub(super) rest: String,
    /// Told whom this one sees leading, while it stands by.
    pub(super) seen: watch::Sender<Option<KnownLeader>>,
    /// The same for those who ask at `rpc`.
    pub(super) view: LeaderView,
}

/// What a JobManager is started with.
pub(super) struct JobManagerRecords {
    pub(super) election: Box<dyn LeaderElection>,
    /// Told whether this one is to get ready while another revision's leads.
    pub(super) preparing: Option<watch::Receiver<bool>>,
    pub(super) records: Option<Records>,
    /// Where checkpoints go.
    pub(super) checkpoints: Option<CheckpointStore>,
}

impl JobManagerRecords {
    /// Those that the configuration asks for. `place` is where others find this process, which
    /// listens there already.
    ///
    /// # Errors
    /// The store can't be used, or the cluster id is another application's.
    pub(super) fn open(
        configuration: &Configuration,
        stores: &Stores,
        (name, place): (&str, Place),
        (clock, runtime): (&Arc<dyn Clock>, &Runtime),
    ) -> Result<Self, ProcessError> {
        let Some(location) = configuration.get(&options::STORAGE_DIRECTORY) else {
            let checkpoints = stores.checkpoints(configuration)?;
            checkpoints.iter().try_for_each(|store| stores.check(store, runtime))?;
            // There is no other one, and it is always in its first term.
            let (address, epoch, revision) = (place.rpc, Epoch(1), revision(configuration));
            place.view.leads(LeaderAddress { address, epoch, revision });
            let election = Box::new(StandaloneElection);
            return Ok(Self { election, preparing: None, records: None, checkpoints });
        };
        let store = open(stores, location.as_str())?;
        let checkpoints = stores.checkpoints(configuration)?.unwrap_or_else(|| store.clone());
        if checkpoints.name != store.name {
            // The other one is tried with the records.
            stores.check(&checkpoints, runtime)?;
        }
        let cluster_id = cluster_id(configuration, name);
        let writer = writer_id(clock.as_ref());
        let options = RecordsOptions {
            store,
            checkpoints: checkpoints.clone(),
            cluster_id: cluster_id.clone(),
            application: name.to_owned(),
            writer,
            address: place.rpc.clone(),
            owner: configuration.get(&kubernetes::APPLICATION_UID),
        };
        let records = runtime.block_on(Records::open(options, runtime.handle()))?;
        let election = StoreElection::new(
            Arc::clone(&records.store().store),
            cluster_id,
            (place.rpc, machine_name()),
            writer,
            (
                configuration.get(&options::LEASE_DURATION),
                configuration.get(&options::RETRY_PERIOD),
            ),
            Arc::clone(clock),
        )
        .serves_rest(place.rest, place.seen)
        .answers_with(place.view)
        .of_revision(revision(configuration));
        let (election, preparing) = match super::kubernetes::turn(configuration, (clock, runtime))?
        {
            Some(turn) => {
                let preparing = turn.preparation();
                (election.by_turn(Box::new(turn)), Some(preparing))
            }
            None => (election, None),
        };
        let (election, records) = (Box::new(election), Some(records));
        Ok(Self { election, preparing, records, checkpoints: Some(checkpoints) })
    }
}

fn open(stores: &Stores, location: &str) -> Result<CheckpointStore, HighAvailabilityError> {
    stores.named(location).map_err(|error| HighAvailabilityError::Unusable {
        location: location.to_owned(),
        source: Box::new(error.into()),
    })
}

/// The revision of the application that this process runs; empty where there are none.
fn revision(configuration: &Configuration) -> String {
    configuration.get(&kubernetes::REVISION).unwrap_or_default()
}

/// The application's identity.
pub(super) fn cluster_id(configuration: &Configuration, name: &str) -> String {
    configuration.get(&options::CLUSTER_ID).unwrap_or_else(|| name.to_owned())
}

/// What a process whose JobManager has ended like this says and exits with; None where the
/// application's outcome says it.
pub(super) fn exit_of(reason: Option<EndReason>) -> Option<(String, u8)> {
    match reason {
        Some(EndReason::LeadershipLost(loss)) => {
            let message = format!(
                "error: this JobManager doesn't lead any more and has stopped; its jobs go on at \
                 the one that does: {}",
                loss.reason()
            );
            Some((message, EXIT_NOT_LEADING))
        }
        Some(EndReason::Suspended(signal)) => {
            let message = format!("{signal}: the jobs are left to the next JobManager");
            Some((message, EXIT_SUSPENDED))
        }
        Some(EndReason::ShutDown) | None => None,
    }
}

/// How long one must have led to start over in its place when its turn is over. Whoever starts
/// ended processes again (Kubernetes) waits longer each time, which is right only for one that
/// can't lead at all.
const LED_LONG: Duration = Duration::from_secs(10);

/// Whether a process whose JobManager has ended like this, after it led for so long, starts over
/// in its place instead of exiting: where it would be started again anyway, and it lost nothing but
/// its turn. One that is fenced exits.
pub(super) fn starts_over(is_deployed: bool, end: Option<&EndReason>, led: Duration) -> bool {
    let lost_turn = matches!(end, Some(EndReason::LeadershipLost(Loss::Turn(_))));
    is_deployed && lost_turn && led >= LED_LONG
}

/// What the machine, or the container, calls itself; empty if it doesn't say.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Never the same for two processes.
pub(crate) fn writer_id(clock: &dyn Clock) -> WriterId {
    let mut drawn = [0; 16];
    let source = std::fs::File::open("/dev/urandom");
    if source.and_then(|mut source| source.read_exact(&mut drawn)).is_ok() {
        return WriterId(u128::from_le_bytes(drawn));
    }
    let seed = process_seed(clock);
    let text = format!("{seed}/{}/{}", std::process::id(), clock.wall_ms());
    WriterId(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// How a TaskManager finds its JobManager with high availability; None without: in Kubernetes by
/// asking all JobManagers behind the Service that `jobmanager.rpc.address` names, elsewhere by the
/// hint in the store.
///
/// # Errors
/// The store can't be opened.
pub(super) fn connector(
    configuration: &Configuration,
    stores: &Stores,
    name: &str,
    (identity, transport, runtime): (Identity, Arc<dyn Transport>, &Handle),
    seed: u64,
) -> Result<Option<Connector>, ProcessError> {
    let Some(location) = configuration.get(&options::STORAGE_DIRECTORY) else { return Ok(None) };
    let mut locator: Arc<dyn LeaderLocator> = if super::kubernetes::is_deployed(configuration) {
        let host = configuration.get(&jobmanager::RPC_ADDRESS);
        let port = configuration.get(&jobmanager::RPC_PORT);
        let asking = Arc::clone(&transport);
        Arc::new(ServiceLocator::new(Arc::new(SystemResolver), asking, (host, port), identity))
    } else {
        let store = open(stores, location.as_str())?;
        let in_use = off_thread(&store, runtime);
        Arc::new(HintLocator::new(in_use, store.name, cluster_id(configuration, name)))
    };
    if let Some(revision) = configuration.get(&kubernetes::REVISION) {
        let preparing = configuration.get(&kubernetes::PREPARING_JOB_MANAGER);
        locator = Arc::new(RevisionLocator::new(locator, revision, preparing));
    }
    let period = configuration.get(&options::RETRY_PERIOD);
    Ok(Some(Connector::Located { transport, locator, identity, period, seed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_led_for_a_while_and_lost_its_turn_in_kubernetes_starts_over() {
        let why = || "the Lease is held by another one".to_owned();
        let turn = EndReason::LeadershipLost(Loss::Turn(why()));
        let fenced = EndReason::LeadershipLost(Loss::Fenced(why()));
        assert!(starts_over(true, Some(&turn), LED_LONG));
        assert!(!starts_over(true, Some(&turn), LED_LONG - Duration::from_millis(1)));
        assert!(!starts_over(false, Some(&turn), LED_LONG));
        for end in [Some(&fenced), Some(&EndReason::ShutDown), None] {
            assert!(!starts_over(true, end, LED_LONG), "{end:?}");
        }
        assert_eq!(exit_of(Some(turn)).map(|(_, code)| code), Some(EXIT_NOT_LEADING));
    }
}
