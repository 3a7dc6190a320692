//! The Secrets of an application's certificates: what they hold, as facts, and how they are
//! written. What can't be used counts as not there, whoever has changed it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use thalweg_tls::issue::Authority;
use thalweg_tls::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, CertificateIdentity, KEY_FILE, Material, Pem, Role,
    Validity,
};

use super::decide::{AuthorityFact, CertificateFacts, LeafFact, Signer};
use crate::build::Identity;

/// What a Secret holds.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Where the CA's Secret has the CA that was made last, and the one before.
const NEWEST: [&str; 2] = ["ca.crt", "ca.key"];
const PREVIOUS: [&str; 2] = ["previous.crt", "previous.key"];

/// The certificates of an application.
#[derive(Debug, Default)]
pub struct Stored {
    pub(super) newest: Option<Authority>,
    pub(super) previous: Option<Authority>,
    pub(super) leaves: BTreeMap<Role, Pem>,
}

impl Stored {
    /// From the contents of the Secrets that there are.
    pub fn read(
        identity: &Identity,
        authorities: Option<&Contents>,
        leaves: &BTreeMap<Role, Contents>,
    ) -> Self {
        let authority = |[certificate, key]: [&str; 2]| {
            let text = |name: &str| std::str::from_utf8(authorities?.get(name)?).ok();
            let of = identity.certificate(Role::Operator);
            Authority::from_pem(&of, text(certificate)?, text(key)?).ok()
        };
        let leaf = |(role, contents): (&Role, &Contents)| {
            let file = |name: &str| contents.get(name).cloned();
            let pem = Pem {
                certificate: file(CERTIFICATE_FILE)?,
                key: file(KEY_FILE)?,
                authorities: file(AUTHORITIES_FILE)?,
            };
            Some((*role, pem))
        };
        Self {
            newest: authority(NEWEST),
            previous: authority(PREVIOUS),
            leaves: leaves.iter().filter_map(leaf).collect(),
        }
    }

    /// What is to be decided upon.
    pub fn facts(&self, identity: &Identity) -> CertificateFacts {
        let fact = |authority: &Authority| AuthorityFact { validity: authority.validity() };
        let leaf = |(role, pem): (&Role, &Pem)| {
            Some((*role, self.leaf_fact(&identity.certificate(*role), pem)?))
        };
        CertificateFacts {
            newest: self.newest.as_ref().map(fact),
            previous: self.previous.as_ref().map(fact),
            leaves: self.leaves.iter().filter_map(leaf).collect(),
        }
    }

    /// None for a leaf that isn't this identity's, or of neither CA, or damaged.
    fn leaf_fact(&self, identity: &CertificateIdentity, pem: &Pem) -> Option<LeafFact> {
        let validity = Validity::of_pem(&pem.certificate).ok()?;
        let by = |signer: Signer| {
            let authorities = self.authority(signer)?.certificate().as_bytes().to_vec();
            let alone = Pem { authorities, ..pem.clone() };
            // Whether it counts now is the decision's question.
            let material = Material::check(&alone, validity.not_before).ok()?;
            (material.identity() == identity).then_some(signer)
        };
        let by = by(Signer::Newest).or_else(|| by(Signer::Previous))?;
        let bundle_is_current = pem.authorities == self.bundle().into_bytes();
        Some(LeafFact { by, validity, bundle_is_current })
    }

    pub(super) fn authority(&self, signer: Signer) -> Option<&Authority> {
        match signer {
            Signer::Newest => self.newest.as_ref(),
            Signer::Previous => self.previous.as_ref(),
        }
    }

    /// The CAs that are to be believed now.
    pub fn bundle(&self) -> String {
        let both = self.newest.iter().chain(&self.previous);
        both.map(Authority::certificate).collect()
    }

    /// The Secret with the CAs and their keys, which no pod mounts.
    pub fn authorities_secret(&self, identity: &Identity) -> Secret {
        let mut contents = Contents::new();
        for (names, authority) in [(NEWEST, &self.newest), (PREVIOUS, &self.previous)] {
            if let Some(authority) = authority {
                let [certificate, key] = names.map(str::to_owned);
                contents.insert(certificate, authority.certificate().as_bytes().to_vec());
                contents.insert(key, authority.key().into_bytes());
            }
        }
        secret(identity, identity.authorities(), "Opaque", contents)
    }

    /// The Secret that a role's pods mount, if its leaf was made.
    pub fn leaf_secret(&self, identity: &Identity, role: Role) -> Option<Secret> {
        let Pem { certificate, key, authorities } = self.leaves.get(&role)?.clone();
        let contents = Contents::from([
            (CERTIFICATE_FILE.to_owned(), certificate),
            (KEY_FILE.to_owned(), key),
            (AUTHORITIES_FILE.to_owned(), authorities),
        ]);
        Some(secret(identity, identity.leaf(role), "kubernetes.io/tls", contents))
    }
}

fn secret(identity: &Identity, name: String, type_: &str, contents: Contents) -> Secret {
    let data = contents.into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect();
    Secret {
        metadata: identity.metadata(name),
        type_: Some(type_.to_owned()),
        data: Some(data),
        immutable: None,
        string_data: None,
    }
}
