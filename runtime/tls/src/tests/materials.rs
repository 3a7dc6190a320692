//! Files that can and can't be used, and what is told of them.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{DAY, NOW, Stopped, authority, days, identity, pem, process};
use crate::issue::Authority;
use crate::{Material, Pem, Role, Tls, Validity};

fn checked(pem: &Pem) -> Result<Material, String> {
    Material::check(pem, NOW).map_err(|error| error.to_string())
}

#[test]
fn a_fitting_set_of_files_tells_whose_it_is_and_until_when() {
    let authority = authority();
    let validity = days(-1, 89);
    let issued = authority.issue(&identity(Role::TaskManager), validity).unwrap();
    let material = checked(&pem(&issued, &[&authority])).unwrap();
    assert_eq!(material.identity(), &identity(Role::TaskManager));
    assert_eq!(material.validity(), validity);
    // One CA takes the other's place: both are believed.
    let next = Authority::generate(&identity(Role::Operator), days(-1, 365)).unwrap();
    checked(&pem(&issued, &[&next, &authority])).unwrap();
}

#[test]
fn files_that_do_not_fit_are_refused_with_what_is_wrong() {
    let authority = authority();
    let issue = |role, from, to| authority.issue(&identity(role), days(from, to)).unwrap();
    let issued = issue(Role::JobManager, -1, 89);
    let good = pem(&issued, &[&authority]);
    let other = pem(&issue(Role::JobManager, -1, 89), &[&authority]);
    let late = pem(&issue(Role::JobManager, -90, -1), &[&authority]);
    let early = pem(&issue(Role::JobManager, 1, 90), &[&authority]);
    let foreign = Authority::generate(&identity(Role::Operator), days(-1, 365)).unwrap();
    let text = |text: &str| text.as_bytes().to_vec();
    let many = authority.certificate().repeat(17);
    for (files, part) in [
        (Pem { certificate: text(""), ..good.clone() }, "tls.crt can't be used: there is no"),
        (Pem { certificate: text("nothing"), ..good.clone() }, "tls.crt can't be used"),
        (Pem { certificate: good.key.clone(), ..good.clone() }, "tls.crt can't be used"),
        (Pem { key: text("nothing"), ..good.clone() }, "tls.key can't be used"),
        (Pem { key: other.key, ..good.clone() }, "tls.key isn't the key"),
        (Pem { authorities: text(""), ..good.clone() }, "ca.crt can't be used"),
        (Pem { authorities: text(&many), ..good.clone() }, "more than 16"),
        (pem(&issued, &[&foreign]), "wasn't issued by a CA in ca.crt"),
        (late, "has expired at"),
        (early, "is valid from"),
    ] {
        let refused = checked(&files).unwrap_err();
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let ca =
        Pem { certificate: text(authority.certificate()), key: text(&authority.key()), ..good };
    checked(&ca).unwrap_err();
}

#[test]
fn a_process_does_not_start_with_anothers_certificate() {
    let authority = authority();
    let issued = authority.issue(&identity(Role::TaskManager), days(-1, 89)).unwrap();
    let files = pem(&issued, &[&authority]);
    let refused = Tls::from_pem(files, Role::JobManager, Stopped::at(NOW)).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("is for thalweg://shop/0f7a/taskmanager"), "{refused}");
    assert!(refused.contains("this process is to be jobmanager"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let refused = Tls::open(folder.path(), Role::JobManager, Stopped::at(NOW)).unwrap_err();
    assert!(refused.to_string().contains("tls.crt can't be read"), "{refused}");
}

#[test]
fn the_validity_of_leaves_and_authorities_is_that_which_they_were_made_with() {
    let authority = authority();
    let issued = authority.issue(&identity(Role::TaskManager), days(-7, 77)).unwrap();
    let of =
        |pem: &str| Validity::of(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    assert_eq!(of(&issued.certificate), days(-7, 77));
    assert_eq!(of(authority.certificate()), days(-1, 365));
    assert!(days(-7, 77).contains(NOW) && !days(-7, 77).contains(NOW + 78 * DAY));
}

#[test]
fn an_authority_that_was_stored_issues_as_before_and_only_with_its_own_key() {
    let made = authority();
    let own = identity(Role::Operator);
    let read = Authority::from_pem(&own, made.certificate(), &made.key()).unwrap();
    assert_eq!(read.validity(), days(-1, 365));
    let issued = read.issue(&identity(Role::TaskManager), days(-1, 89)).unwrap();
    checked(&pem(&issued, &[&made])).unwrap();
    let other = authority();
    for (certificate, key) in [
        (made.certificate(), other.key()),
        ("nothing", made.key()),
        (made.certificate(), "nothing".to_owned()),
    ] {
        let refused = Authority::from_pem(&own, certificate, &key).unwrap_err().to_string();
        assert!(refused.contains("the CA can't be used"), "{refused}");
    }
}

#[test]
fn a_key_is_shown_nowhere() {
    let authority = authority();
    let issued = authority.issue(&identity(Role::TaskManager), days(-1, 89)).unwrap();
    let files = pem(&issued, &[&authority]);
    let tls = process(&authority, Role::TaskManager);
    let shown = format!("{issued:?} {files:?} {tls:?} {authority:?}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    assert!(!shown.contains(issued.key.lines().nth(1).unwrap()), "{shown}");
}
