//! Keeps an application's certificates: reads their Secrets by name when something is due, when
//! pods are about to be started, and once after the operator's own start; never lists or watches
//! them. When to look again is remembered, so that nothing is asked in between. Not here: what is
//! due (`crate::certificates`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use thalweg_tls::{Pem, Role};

use super::memory::Memory;
use super::{FIELD_MANAGER, ReconcileError};
use crate::build::Identity;
use crate::certificates::{Contents, LEAVES, Step, Stored, decide, issue, operator_certificate};
use crate::plan::{Action, Event, Facts};

/// How often it is decided anew at a time: a CA, its leaves, and that nothing is missing.
const ROUNDS_MAX: usize = 6;

/// Whether they are to be looked at.
pub(super) fn are_due(facts: &Facts, memory: &Memory, now: &Time) -> bool {
    facts.deleting_since.is_none() && memory.renewal.as_ref().is_none_or(|at| at <= now)
}

/// Makes and renews what is due, and remembers the next moment for it. Nothing is made while the
/// resource is being deleted: its Secrets go with it.
pub(super) async fn keep(
    client: &Client,
    (facts, now): (&Facts, &Time),
    actions: &[Action],
    memory: &mut Memory,
) -> Result<(), ReconcileError> {
    if facts.deleting_since.is_some() {
        return Ok(());
    }
    // Pods wait for ever for a Secret that isn't there.
    let starts = |action: &Action| {
        matches!(action, Action::StartRevision { .. } | Action::PrepareRevision { .. })
    };
    let starts = actions.iter().any(starts);
    if starts || are_due(facts, memory, now) {
        let due = look(client, &facts.identity, now.0.as_second()).await?;
        memory.renewal = Timestamp::from_second(due).ok().map(Time);
    }
    Ok(())
}

/// What tells the user why there are none.
pub(super) fn failed(problem: &str) -> Action {
    Action::Publish(Event {
        reason: "CertificatesFailed",
        warning: true,
        message: problem.to_owned(),
        key: problem.to_owned(),
    })
}

/// Until there is nothing to do; gives the next moment at which there is.
async fn look(client: &Client, identity: &Identity, now: i64) -> Result<i64, ReconcileError> {
    for _ in 0..ROUNDS_MAX {
        let found = Found::read(client, identity).await?;
        let mut stored = found.stored(identity);
        let decision = decide(&stored.facts(identity), now);
        if decision.steps.is_empty() {
            return Ok(decision.again_at);
        }
        for step in decision.steps {
            tracing::info!(application = %identity.name, namespace = %identity.namespace,
                "certificates: {step:?}");
            stored = issue(stored, identity, step, now)?;
            found.write(client, identity, &stored, step).await?;
        }
    }
    // Somebody else changes them. It is tried again soon.
    Err(ReconcileError::Certificates(format!(
        "the Secrets of {} are changed by somebody else as well; see who writes them",
        identity.name
    )))
}

/// The operator's certificate for a request that is made at `now`.
pub(super) async fn of_operator(
    client: &Client,
    identity: &Identity,
    now: &Time,
) -> Result<Pem, ReconcileError> {
    let stored = Found::read(client, identity).await?.stored(identity);
    Ok(operator_certificate(&stored, identity, now.0.as_second())?)
}

/// The Secrets that there are.
struct Found {
    authorities: Option<Secret>,
    leaves: BTreeMap<Role, Secret>,
}

impl Found {
    async fn read(client: &Client, identity: &Identity) -> Result<Self, ReconcileError> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &identity.namespace);
        let mut leaves = BTreeMap::new();
        for role in LEAVES {
            if let Some(secret) = secrets.get_opt(&identity.leaf(role)).await? {
                leaves.insert(role, secret);
            }
        }
        let authorities = secrets.get_opt(&identity.authorities()).await?;
        for secret in authorities.iter().chain(leaves.values()) {
            if !is_ours(secret, identity) {
                return Err(ReconcileError::Certificates(format!(
                    "the Secret {} isn't of this FlinkApplication, and is needed for its \
                     certificates; delete it, or give the application another name",
                    secret.name_any()
                )));
            }
        }
        Ok(Self { authorities, leaves })
    }

    fn stored(&self, identity: &Identity) -> Stored {
        let authorities = self.authorities.as_ref().and_then(|each| contents(each, identity));
        let leaves = self.leaves.iter();
        let leaves = leaves.filter_map(|(role, each)| Some((*role, contents(each, identity)?)));
        Stored::read(identity, authorities.as_ref(), &leaves.collect())
    }

    /// Writes what a step has changed. A Secret that somebody has changed since isn't overwritten.
    async fn write(
        &self,
        client: &Client,
        identity: &Identity,
        stored: &Stored,
        step: Step,
    ) -> Result<(), ReconcileError> {
        let (secret, before) = match step {
            Step::CreateAuthority { .. } | Step::ForgetPrevious => {
                (Some(stored.authorities_secret(identity)), self.authorities.as_ref())
            }
            Step::Issue { role, .. } | Step::Believe { role } => {
                (stored.leaf_secret(identity, role), self.leaves.get(&role))
            }
        };
        let Some(mut secret) = secret else { return Ok(()) };
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &identity.namespace);
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        match before {
            None => drop(secrets.create(&params, &secret).await?),
            Some(before) => {
                secret.metadata.resource_version = before.resource_version();
                drop(secrets.replace(&before.name_any(), &params, &secret).await?);
            }
        }
        Ok(())
    }
}

/// Whether it belongs to this application, or to an earlier one of its name that is being cleared
/// away.
fn is_ours(secret: &Secret, identity: &Identity) -> bool {
    let mut owners = secret.owner_references().iter();
    owners.any(|owner| owner.kind == "FlinkApplication" && owner.name == identity.name)
}

/// What it holds; an earlier application's is no use.
fn contents(secret: &Secret, identity: &Identity) -> Option<Contents> {
    let mut owners = secret.owner_references().iter();
    owners.find(|owner| owner.uid == identity.uid)?;
    let data = secret.data.clone().unwrap_or_default();
    Some(data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect())
}
