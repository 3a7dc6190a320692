//! The Lease by which one of an application's JobManagers leads.
//!
//! The operator makes it and says which revision may lead, and which one gets ready to; its `spec`
//! belongs to the JobManagers.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;

use super::{Identity, PREPARING_ANNOTATION, REVISION_ANNOTATION, Turn};

/// The Lease. Without a revision nobody may lead.
pub(super) fn lease(identity: &Identity, turn: Turn<'_>) -> Lease {
    let mut metadata = identity.metadata(identity.name.clone());
    let revision = turn.leading.unwrap_or_default().to_owned();
    let mut annotations = BTreeMap::from([(REVISION_ANNOTATION.to_owned(), revision)]);
    if let Some(preparing) = turn.preparing {
        annotations.insert(PREPARING_ANNOTATION.to_owned(), preparing.to_owned());
    }
    metadata.annotations = Some(annotations);
    Lease { metadata, spec: None }
}
