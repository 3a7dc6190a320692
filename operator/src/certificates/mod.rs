//! The certificates of an application: a CA of its own, and a leaf for each role.
//!
//! - [`decide()`]: what is to be made or replaced at a moment; pure.
//! - [`Stored`]: what the Secrets hold, as facts, and as Secrets again.
//! - [`issue()`]: a step, performed on what is stored.
//!
//! A CA takes another one's place in four steps, each at least [`SPREAD_SECONDS`] after the one
//! before, so that every process has seen it: both are believed while the old one signs; the new
//! one signs; the old one is forgotten. Not here: the API server (`controller`).

mod decide;
mod issue;
mod stored;
#[cfg(test)]
mod tests;

pub use decide::{AuthorityFact, CertificateFacts, Decision, LeafFact, Signer, Step, decide};
pub use issue::{issue, operator_certificate};
pub use stored::{Contents, Stored};

use thalweg_tls::Role;

/// Certificates begin to count so long before they are made: clocks differ.
pub const BACKDATE_SECONDS: i64 = 3600;
/// How long a leaf counts: 90 days. It is renewed after two thirds.
pub const LEAF_SECONDS: i64 = 90 * DAY;
/// How long a CA counts: a year. Its successor is made after two thirds, so that no leaf ends with
/// its CA.
pub const AUTHORITY_SECONDS: i64 = 365 * DAY;
/// How long every process has to see what has changed in its Secret. Kubernetes takes about two
/// minutes.
pub const SPREAD_SECONDS: i64 = DAY;
/// How long the operator's own certificate for a request counts. It is stored nowhere.
pub const REQUEST_SECONDS: i64 = 600;

const DAY: i64 = 86_400;

/// The roles that have a leaf in a Secret.
pub const LEAVES: [Role; 2] = [Role::JobManager, Role::TaskManager];

/// When something that counts from `not_before` (backdated) until `not_after` is to be renewed.
fn renewed_at(validity: thalweg_tls::Validity) -> i64 {
    let life = validity.not_after.saturating_sub(validity.not_before);
    validity.not_before.saturating_add(life / 3 * 2)
}
