//! What is decided at which moment, what is issued, and whole lives of applications.

use std::collections::BTreeMap;

use thalweg_tls::{CertificateIdentity, Material, Pem, Role, Validity};

use super::Signer::{Newest, Previous};
use super::*;
use crate::build::Identity;

/// The moment of most tests: 2026-01-01.
const NOW: i64 = 1_767_225_600;

fn identity() -> Identity {
    let (namespace, name) = ("shop".to_owned(), "clicks".to_owned());
    Identity { namespace, name, uid: "5c0ffee0".to_owned() }
}

/// Something that was made so many days ago and lasts so many.
const fn made(days_ago: i64, lasts: i64) -> Validity {
    let moment = NOW - days_ago * DAY;
    Validity { not_before: moment - BACKDATE_SECONDS, not_after: moment + lasts * DAY }
}

fn ca(days_ago: i64) -> Option<AuthorityFact> {
    Some(AuthorityFact { validity: made(days_ago, 365) })
}

fn leaf(by: Signer, days_ago: i64, bundle_is_current: bool) -> LeafFact {
    LeafFact { by, validity: made(days_ago, 90), bundle_is_current }
}

fn both(leaf: LeafFact) -> BTreeMap<Role, LeafFact> {
    BTreeMap::from(LEAVES.map(|role| (role, leaf)))
}

fn for_both(step: impl Fn(Role) -> Step) -> Vec<Step> {
    LEAVES.into_iter().map(step).collect()
}

type Leaves = BTreeMap<Role, LeafFact>;
/// What it is about, the newest CA, the one before, the leaves, and what is to be done.
type Case = (&'static str, Option<AuthorityFact>, Option<AuthorityFact>, Leaves, Vec<Step>);

fn check(cases: Vec<Case>) {
    for (what, newest, previous, leaves, steps) in cases {
        let facts = CertificateFacts { newest, previous, leaves };
        let decision = decide(&facts, NOW);
        assert_eq!(decision.steps, steps, "{what}");
        assert!(decision.again_at > NOW, "{what}: {}", decision.again_at);
    }
}

fn issue_both(by: Signer) -> Vec<Step> {
    for_both(|role| Step::Issue { role, by })
}

fn create(keep: Option<Signer>) -> Vec<Step> {
    vec![Step::CreateAuthority { keep }]
}

#[test]
fn what_is_missing_damaged_or_due_is_made_and_the_rest_is_left() {
    let newest = |days_ago| both(leaf(Newest, days_ago, true));
    let nobody = Leaves::new();
    let one = BTreeMap::from([(Role::TaskManager, leaf(Newest, 10, true))]);
    let the_other = vec![Step::Issue { role: Role::JobManager, by: Newest }];
    let believe = for_both(|role| Step::Believe { role });
    check(vec![
        ("nothing there", None, None, nobody.clone(), create(None)),
        ("a new CA", ca(0), None, nobody, issue_both(Newest)),
        ("all is fresh", ca(10), None, newest(10), vec![]),
        ("a leaf is missing or damaged", ca(10), None, one, the_other),
        ("another bundle", ca(10), None, both(leaf(Newest, 10, false)), believe),
        ("leaves past two thirds", ca(61), None, newest(61), issue_both(Newest)),
        ("leaves before that", ca(59), None, newest(59), vec![]),
        ("expired leaves", ca(95), None, newest(91), issue_both(Newest)),
        ("leaves from the future", ca(10), None, newest(-5), issue_both(Newest)),
        ("leaves of this moment", ca(10), None, newest(0), vec![]),
        ("a CA from the future", ca(-5), None, newest(10), vec![]),
        ("a CA past two thirds", ca(244), None, newest(10), create(Some(Newest))),
        ("a CA that has ended", ca(366), None, newest(10), create(None)),
    ]);
}

#[test]
fn an_authority_takes_anothers_place_when_everybody_has_seen_each_step() {
    let newest = |days_ago, bundle| both(leaf(Newest, days_ago, bundle));
    let previous = |days_ago, bundle| both(leaf(Previous, days_ago, bundle));
    let believe = for_both(|role| Step::Believe { role });
    let forget = vec![Step::ForgetPrevious];
    check(vec![
        ("a successor has come", ca(0), ca(244), previous(10, false), believe.clone()),
        ("it spreads", ca(0), ca(244), previous(10, true), vec![]),
        ("meanwhile leaves are renewed", ca(0), ca(244), previous(61, true), issue_both(Previous)),
        ("it has spread", ca(2), ca(246), previous(10, true), issue_both(Newest)),
        ("its leaves spread", ca(2), ca(246), newest(0, true), vec![]),
        ("its leaves have spread", ca(4), ca(248), newest(2, true), forget.clone()),
        ("the older one is forgotten", ca(4), None, newest(2, false), believe),
        ("the older one ends meanwhile", ca(0), ca(366), previous(10, true), forget),
        ("a clock was set back meanwhile", ca(-1), ca(240), newest(0, true), vec![]),
        ("the newer is damaged", None, ca(244), previous(10, true), create(Some(Previous))),
        ("and the older has ended", None, ca(366), previous(10, true), create(None)),
    ]);
}

#[test]
fn at_rest_the_next_look_is_when_the_first_thing_is_due() {
    let facts =
        CertificateFacts { newest: ca(10), previous: None, leaves: both(leaf(Newest, 10, true)) };
    let decision = decide(&facts, NOW);
    assert_eq!(decision.steps, []);
    let days = (decision.again_at - NOW) / DAY;
    assert_eq!(days, 49, "two thirds of 90 days, of which 10 have passed, less the backdated hour");
    let before = decide(&facts, decision.again_at - 1).steps;
    let then = decide(&facts, decision.again_at).steps;
    assert_eq!((before.len(), then.len()), (0, 2));
}

/// The processes of an application, each of which sees its Secret some time after it has changed.
struct World {
    stored: Stored,
    now: i64,
    steps: Vec<Step>,
    seen: BTreeMap<Role, Vec<(i64, Pem)>>,
}

impl World {
    fn new() -> Self {
        let (stored, steps) = (Stored::default(), Vec::new());
        Self { stored, now: NOW, steps, seen: BTreeMap::new() }
    }

    /// The Secrets as the API server would give them back.
    fn stored_again(&self) -> Stored {
        let contents = |secret: k8s_openapi::api::core::v1::Secret| -> Contents {
            let data = secret.data.expect("data");
            data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect()
        };
        let authorities = contents(self.stored.authorities_secret(&identity()));
        let leaves = LEAVES
            .into_iter()
            .filter_map(|role| Some((role, contents(self.stored.leaf_secret(&identity(), role)?))));
        Stored::read(&identity(), Some(&authorities), &leaves.collect())
    }

    /// The operator looks, until there is nothing to do; gives the next moment.
    fn look(&mut self) -> i64 {
        for _ in 0..6 {
            let mut stored = self.stored_again();
            let decision = decide(&stored.facts(&identity()), self.now);
            if decision.steps.is_empty() {
                return decision.again_at;
            }
            for step in decision.steps {
                stored = issue(stored, &identity(), step, self.now).expect("a step");
                self.steps.push(step);
            }
            self.stored = stored;
            for (role, pem) in &self.stored.leaves {
                self.seen.entry(*role).or_default().push((self.now, pem.clone()));
            }
        }
        panic!("the steps have no end: {:?}", self.steps);
    }

    /// What was there before counts no more.
    fn everybody_sees(&mut self) {
        self.seen.values_mut().for_each(|seen| drop(seen.drain(..seen.len() - 1)));
    }

    /// What a role uses that is `lag` seconds behind.
    fn uses(&self, role: Role, lag: i64) -> &Pem {
        let seen = &self.seen[&role];
        let known = seen.iter().rev().find(|(since, _)| since + lag <= self.now);
        &known.unwrap_or(&seen[0]).1
    }

    /// Whether one process believes another one.
    fn believes(&self, own: &Pem, other: &Pem) -> Result<CertificateIdentity, String> {
        let judged = Pem { authorities: own.authorities.clone(), ..other.clone() };
        let material = Material::check(&judged, self.now).map_err(|error| error.to_string())?;
        Ok(material.identity().clone())
    }

    /// Everybody believes everybody, however long each takes to see its Secret.
    fn check(&self, lag_max: i64) {
        for (a, b) in [(0, 0), (0, lag_max), (lag_max, 0), (lag_max, lag_max), (600, lag_max / 2)] {
            let job_manager = self.uses(Role::JobManager, a);
            let task_manager = self.uses(Role::TaskManager, b);
            let operator = operator_certificate(&self.stored, &identity(), self.now).unwrap();
            for (own, other, role) in [
                (job_manager, task_manager, Role::TaskManager),
                (task_manager, job_manager, Role::JobManager),
                (task_manager, task_manager, Role::TaskManager),
                (job_manager, &operator, Role::Operator),
                (&operator, job_manager, Role::JobManager),
            ] {
                let days = (self.now - NOW) / DAY;
                let told = |error| panic!("day {days}, {a} s and {b} s behind, {role}: {error}");
                let found = self.believes(own, other).unwrap_or_else(told);
                assert_eq!(found, identity().certificate(role));
            }
        }
    }
}

#[test]
fn through_years_everybody_believes_everybody_however_late_each_sees_a_change() {
    let mut world = World::new();
    let mut due = world.look();
    let end = NOW + 900 * DAY;
    let created = |step: &&Step| matches!(step, Step::CreateAuthority { .. });
    while world.now < end {
        // At the moments that it has named, and at the ends of what takes time to be seen.
        world.now = (world.now + 12 * 3600).min(due);
        if world.now >= due {
            due = world.look();
            assert!(due > world.now);
        }
        world.check(SPREAD_SECONDS - 1);
    }
    let authorities = world.steps.iter().filter(created).count();
    assert_eq!(authorities, 4, "one at first, then one each 243 days: {:?}", world.steps);
    let leaves = world.steps.iter().filter(|step| matches!(step, Step::Issue { .. })).count();
    assert!((30..50).contains(&leaves), "{leaves}: {:?}", world.steps);
}

#[test]
fn an_operator_that_was_away_for_long_mends_everything_at_once() {
    for days in [70, 100, 300, 400, 2000] {
        let mut world = World::new();
        world.look();
        world.now += days * DAY;
        world.look();
        world.everybody_sees();
        world.check(0);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_new_authority_and_leaves_that_count() {
    for days in [1, 5, 30] {
        let mut world = World::new();
        world.look();
        let before = world.stored.bundle();
        world.now -= days * DAY;
        world.look();
        assert_eq!(world.stored.bundle(), before, "{days}");
        world.everybody_sees();
        world.check(0);
        // And when it is right again.
        world.now += days * DAY;
        world.check(0);
    }
}

#[test]
fn damaged_secrets_are_made_anew_and_nobody_elses_certificate_is_kept() {
    let mut world = World::new();
    world.look();
    let authorities = world.stored.authorities_secret(&identity()).data.expect("data");
    let authorities: Contents =
        authorities.into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
    let good: BTreeMap<Role, Contents> = BTreeMap::from(LEAVES.map(|role| {
        let secret = world.stored.leaf_secret(&identity(), role).expect("a leaf");
        let data = secret.data.expect("data").into_iter();
        (role, data.map(|(name, bytes)| (name, bytes.0)).collect())
    }));
    let facts = |authorities: &Contents, leaves: &BTreeMap<Role, Contents>| {
        Stored::read(&identity(), Some(authorities), leaves).facts(&identity())
    };
    let whole = facts(&authorities, &good);
    assert_eq!((whole.newest.is_some(), whole.leaves.len()), (true, 2));
    for name in ["ca.crt", "ca.key"] {
        for damage in [None, Some(Vec::new()), Some(b"-----BEGIN".to_vec()), Some(vec![0xff; 99])] {
            let mut damaged = authorities.clone();
            damaged.remove(name);
            damaged.extend(damage.map(|bytes| (name.to_owned(), bytes)));
            assert_eq!(facts(&damaged, &good).newest, None, "{name}");
        }
    }
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let mut damaged = good.clone();
        let contents = damaged.get_mut(&Role::JobManager).expect("there");
        contents.insert(name.to_owned(), b"nothing".to_vec());
        let found = facts(&authorities, &damaged);
        let leaf = found.leaves.get(&Role::JobManager);
        let rebundled = leaf.is_some_and(|leaf| !leaf.bundle_is_current);
        assert_eq!((leaf.is_none(), rebundled), (name != "ca.crt", name == "ca.crt"), "{name}");
    }
    // The one's certificate in the other's Secret.
    let mut swapped = good.clone();
    swapped.insert(Role::JobManager, good[&Role::TaskManager].clone());
    assert!(!facts(&authorities, &swapped).leaves.contains_key(&Role::JobManager));
    // Of an earlier application of the same name.
    let earlier = Identity { uid: "earlier".to_owned(), ..identity() };
    let foreign = Stored::read(&earlier, Some(&authorities), &good).facts(&earlier);
    assert!(foreign.leaves.is_empty());
}

#[test]
fn secrets_belong_to_the_application_and_only_the_authoritys_has_its_key() {
    let mut world = World::new();
    world.look();
    let authorities = world.stored.authorities_secret(&identity());
    let key = authorities.data.as_ref().and_then(|data| data.get("ca.key")).expect("a key").clone();
    let mut names = Vec::new();
    let leaves = LEAVES.into_iter().filter_map(|role| world.stored.leaf_secret(&identity(), role));
    for secret in leaves {
        let data = secret.data.expect("data");
        let files: Vec<&str> = data.keys().map(String::as_str).collect();
        assert_eq!(files, ["ca.crt", "tls.crt", "tls.key"]);
        assert!(data.values().all(|bytes| *bytes != key));
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        let owner = &secret.metadata.owner_references.expect("an owner")[0];
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("FlinkApplication", "5c0ffee0"));
        names.extend(secret.metadata.name);
    }
    assert_eq!(names, ["clicks-jobmanager-tls", "clicks-taskmanager-tls"]);
    assert_eq!(authorities.metadata.name.as_deref(), Some("clicks-ca"));
}

#[test]
fn what_is_issued_counts_as_documented_and_never_longer_than_its_authority() {
    let mut world = World::new();
    world.look();
    let validity = |pem: &Pem| Validity::of_pem(&pem.certificate).expect("a certificate");
    for pem in world.stored.leaves.values() {
        let Validity { not_before, not_after } = validity(pem);
        assert_eq!((not_before, not_after), (NOW - 3600, NOW + 90 * DAY));
    }
    let operator = operator_certificate(&world.stored, &identity(), NOW).expect("one");
    assert_eq!(validity(&operator).not_after, NOW + REQUEST_SECONDS);
    let authority = world.stored.newest.as_ref().expect("a CA").validity();
    assert_eq!((authority.not_before, authority.not_after), (NOW - 3600, NOW + 365 * DAY));
    let late = NOW + 360 * DAY;
    let step = Step::Issue { role: Role::JobManager, by: Newest };
    let stored = issue(world.stored, &identity(), step, late).expect("a leaf");
    assert_eq!(validity(&stored.leaves[&Role::JobManager]).not_after, authority.not_after);
}
