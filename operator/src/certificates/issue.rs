//! Steps, performed on what is stored. Keys come from the system's randomness.

use thalweg_tls::issue::{Authority, IssueError, Issued};
use thalweg_tls::{Pem, Role, Validity};

use super::decide::{Signer, Step};
use super::stored::Stored;
use super::{AUTHORITY_SECONDS, BACKDATE_SECONDS, LEAF_SECONDS, REQUEST_SECONDS};
use crate::build::Identity;

/// What is stored after a step at `now`, in seconds since 1970. What isn't changed stays.
///
/// # Errors
/// The library's, or a CA that isn't there.
pub fn issue(
    mut stored: Stored,
    identity: &Identity,
    step: Step,
    now: i64,
) -> Result<Stored, IssueError> {
    match step {
        Step::CreateAuthority { keep } => {
            let validity = lasting(now, AUTHORITY_SECONDS);
            let of = identity.certificate(Role::Operator);
            let new = Authority::generate(&of, validity)?;
            let old = stored.newest.replace(new);
            match keep {
                None => stored.previous = None,
                Some(Signer::Newest) => stored.previous = old,
                Some(Signer::Previous) => {}
            }
        }
        Step::ForgetPrevious => stored.previous = None,
        Step::Issue { role, by } => {
            let Issued { certificate, key } = leaf(&stored, identity, role, by, now, LEAF_SECONDS)?;
            let authorities = stored.bundle().into_bytes();
            let (certificate, key) = (certificate.into_bytes(), key.into_bytes());
            stored.leaves.insert(role, Pem { certificate, key, authorities });
        }
        Step::Believe { role } => {
            let authorities = stored.bundle().into_bytes();
            if let Some(leaf) = stored.leaves.get_mut(&role) {
                leaf.authorities = authorities;
            }
        }
    }
    Ok(stored)
}

/// The operator's own certificate, for one request to an application's JobManager, and what it
/// believes.
///
/// # Errors
/// The library's, or there is no CA.
pub fn operator_certificate(
    stored: &Stored,
    identity: &Identity,
    now: i64,
) -> Result<Pem, IssueError> {
    let by = stored.facts(identity).signer(now);
    let issued = leaf(stored, identity, Role::Operator, by, now, REQUEST_SECONDS)?;
    Ok(Pem {
        certificate: issued.certificate.into_bytes(),
        key: issued.key.into_bytes(),
        authorities: stored.bundle().into_bytes(),
    })
}

fn leaf(
    stored: &Stored,
    identity: &Identity,
    role: Role,
    by: Signer,
    now: i64,
    seconds: i64,
) -> Result<Issued, IssueError> {
    let missing = || IssueError::Authority("there is none".to_owned());
    let authority = stored.authority(by).ok_or_else(missing)?;
    let mut validity = lasting(now, seconds);
    // What outlives its CA wouldn't be believed to its end.
    validity.not_after = validity.not_after.min(authority.validity().not_after);
    authority.issue(&identity.certificate(role), validity)
}

fn lasting(now: i64, seconds: i64) -> Validity {
    Validity {
        not_before: now.saturating_sub(BACKDATE_SECONDS),
        not_after: now.saturating_add(seconds),
    }
}
