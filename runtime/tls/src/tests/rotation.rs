//! Files that change while the process runs: the way Kubernetes changes them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::{NOW, Stopped, authority, connected, days, identity, pem, works};
use crate::issue::Authority;
use crate::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, Pem, Role, Tls};

const BOTH: &[Role] = &[Role::TaskManager];

/// A folder as Kubernetes mounts a Secret: the files are links through `..data`, which is a link to
/// the newest version.
struct Volume {
    folder: TempDir,
    version: u32,
}

impl Volume {
    fn new(pem: &Pem) -> Self {
        let mut volume = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        volume.change(pem);
        for name in [CERTIFICATE_FILE, KEY_FILE, AUTHORITIES_FILE] {
            symlink(Path::new("..data").join(name), volume.folder.path().join(name)).unwrap();
        }
        volume
    }

    fn change(&mut self, pem: &Pem) {
        self.version += 1;
        let version = format!("..version-{}", self.version);
        let folder = self.folder.path();
        fs::create_dir(folder.join(&version)).unwrap();
        for (name, bytes) in [
            (CERTIFICATE_FILE, &pem.certificate),
            (KEY_FILE, &pem.key),
            (AUTHORITIES_FILE, &pem.authorities),
        ] {
            fs::write(folder.join(&version).join(name), bytes).unwrap();
        }
        symlink(&version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    }
}

fn files(issuer: &Authority, believed: &[&Authority], until: i64) -> Pem {
    let issued = issuer.issue(&identity(Role::TaskManager), days(-1, until)).unwrap();
    pem(&issued, believed)
}

fn open(volume: &Volume) -> Tls {
    Tls::open(volume.folder.path(), Role::TaskManager, Stopped::at(NOW)).unwrap()
}

/// Until when what is in use counts, in days from now.
async fn until(tls: &Tls) -> i64 {
    (tls.current().await.validity().not_after - NOW) / super::DAY
}

#[tokio::test]
async fn a_new_leaf_then_a_new_authority_are_taken_while_a_connection_stays_open() {
    let old = authority();
    let mut volumes = [50, 51].map(|days| Volume::new(&files(&old, &[&old], days)));
    let [a, b] = [open(&volumes[0]), open(&volumes[1])];
    let made = connected((&a, BOTH), (&b, BOTH)).await;
    let (mut near, mut far, _) = made.unwrap();
    let new = authority();
    let steps: [(&str, &Authority, &[&Authority]); 4] = [
        ("another leaf", &old, &[&old]),
        ("two are believed", &old, &[&old, &new]),
        ("the new one signs", &new, &[&old, &new]),
        ("the old one is forgotten", &new, &[&new]),
    ];
    for (number, (step, issuer, believed)) in steps.into_iter().enumerate() {
        // One process sees it before the other one does.
        for (which, volume) in volumes.iter_mut().enumerate() {
            let days = 60 + 10 * i64::try_from(number).unwrap();
            volume.change(&files(issuer, believed, days));
            assert_eq!(until([&a, &b][which]).await, days, "{step}");
            for (client, server) in [(&a, &b), (&b, &a)] {
                let made = connected((client, BOTH), (server, BOTH)).await;
                made.unwrap_or_else(|said| panic!("{step}: {said:?}"));
            }
        }
        works(&mut near, &mut far).await;
    }
    // Who has slept through all of it is refused.
    let asleep = Volume::new(&files(&old, &[&old, &new], 50));
    let made = connected((&open(&asleep), BOTH), (&b, BOTH)).await;
    assert!(made.unwrap_err().1.contains("wasn't issued by a CA"), "it was let in");
}

#[tokio::test]
async fn what_cannot_be_used_is_left_and_the_old_certificate_stays() {
    let authority = authority();
    let mut volume = Volume::new(&files(&authority, &[&authority], 50));
    let tls = open(&volume);
    let good = files(&authority, &[&authority], 60);
    let other = files(&authority, &[&authority], 61);
    let role = authority.issue(&identity(Role::JobManager), days(-1, 62)).unwrap();
    for broken in [
        Pem { certificate: b"-----BEGIN".to_vec(), ..good.clone() },
        // Between two reads the link was swapped.
        Pem { key: other.key.clone(), ..good.clone() },
        Pem { authorities: Vec::new(), ..good.clone() },
        files(&authority, &[&authority], -1),
        pem(&role, &[&authority]),
    ] {
        volume.change(&broken);
        assert_eq!(until(&tls).await, 50);
    }
    fs::remove_file(volume.folder.path().join("..data")).unwrap();
    assert_eq!(until(&tls).await, 50);
    volume.change(&good);
    assert_eq!(until(&tls).await, 60);
}
