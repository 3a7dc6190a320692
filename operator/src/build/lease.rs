//! The Lease by which one of an application's JobManagers leads.
//!
//! The operator makes it and says which revision may lead; its `spec` belongs to the JobManagers.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;

use super::{Identity, REVISION_ANNOTATION};

/// The Lease. Without a revision nobody may lead.
pub(super) fn lease(identity: &Identity, leading: Option<&str>) -> Lease {
    let mut metadata = identity.metadata(identity.name.clone());
    let revision = leading.unwrap_or_default().to_owned();
    metadata.annotations = Some(BTreeMap::from([(REVISION_ANNOTATION.to_owned(), revision)]));
    Lease { metadata, spec: None }
}
