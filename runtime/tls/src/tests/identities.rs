//! Identities as text, and whom they accept.

use super::identity;
use crate::{CertificateIdentity, PeerError, Role};

#[test]
fn an_identity_is_read_as_it_was_written() {
    for role in Role::ALL {
        let identity = identity(role);
        let text = identity.to_string();
        assert_eq!(text, format!("thalweg://shop/0f7a/{role}"));
        assert_eq!(text.parse::<CertificateIdentity>().unwrap(), identity);
    }
}

#[test]
fn what_is_not_exactly_an_identity_is_refused_and_named() {
    let long = format!("thalweg://{}/u/operator", "n".repeat(254));
    for uri in [
        "",
        "thalweg://",
        "spiffe://shop/0f7a/operator",
        "thalweg://shop/0f7a",
        "thalweg://shop/0f7a/",
        "thalweg://shop/0f7a/admin",
        "thalweg://shop/0f7a/Operator",
        "thalweg://shop/0f7a/operator/",
        "thalweg://shop/0f7a/x/operator",
        "thalweg:///0f7a/operator",
        "thalweg://shop//operator",
        "thalweg://sh op/0f7a/operator",
        "thalweg://shop/0f7a/operator?x",
        "thalweg://shop%2f0f7a/x/operator",
        &long,
    ] {
        let refused = uri.parse::<CertificateIdentity>().unwrap_err();
        let shown: String = uri.chars().take(300).collect();
        assert_eq!(refused, PeerError::BadIdentity { uri: shown }, "{uri}");
    }
}

#[test]
fn only_the_same_application_in_a_role_that_belongs_there_is_accepted() {
    let own = identity(Role::JobManager);
    let roles = [Role::TaskManager, Role::Operator];
    for role in Role::ALL {
        let accepted = own.accepts(&identity(role), &roles).is_ok();
        assert_eq!(accepted, roles.contains(&role), "{role}");
        let elsewhere = CertificateIdentity { namespace: "bank".to_owned(), ..identity(role) };
        let later = CertificateIdentity { application_uid: "1".to_owned(), ..identity(role) };
        for other in [elsewhere, later] {
            let refused = own.accepts(&other, &roles).unwrap_err();
            assert!(matches!(refused, PeerError::OtherApplication { .. }), "{refused}");
        }
    }
}
