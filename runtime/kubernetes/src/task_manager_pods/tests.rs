//! What is made and deleted for each course that pods can take, and a seeded simulation of all of
//! them together.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::testing::Dice;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn planner() -> PodPlanner {
    PodPlanner::new("app-taskmanager-7".to_owned(), PodTimes::default())
}

fn pod(name: &str, phase: PodPhase) -> PodFacts {
    let (name, uid) = (name.to_owned(), format!("uid of {name}"));
    PodFacts { name, uid, phase, deleting: false, problem: None }
}

/// `+name`, `-name`, `gone name`, `leaving name`.
fn texts(actions: &[PodAction]) -> Vec<String> {
    let text = |action: &PodAction| match action {
        PodAction::Create(name) => format!("+{name}"),
        PodAction::Delete { name, .. } => format!("-{name}"),
        PodAction::Gone(name, _) => format!("gone {name}"),
        PodAction::Leaving(name, _) => format!("leaving {name}"),
    };
    actions.iter().map(|action| text(action).replace("app-taskmanager-7-", "")).collect()
}

fn named(number: u32, phase: PodPhase) -> PodFacts {
    pod(&format!("app-taskmanager-7-{number}"), phase)
}

#[test]
fn what_is_missing_is_made_once_and_only_after_the_pods_that_there_are_were_seen() {
    let mut pods = planner();
    assert!(pods.require(2, at(0)).is_empty(), "a predecessor may have made them");
    let old = pod("app-taskmanager-6-0", PodPhase::Running);
    assert_eq!(texts(&pods.observe(vec![old.clone()], at(1))), ["+0"], "that one is taken over");
    assert!(pods.observe(vec![old.clone()], at(2)).is_empty(), "the watch lags");
    assert!(pods.observe(vec![old.clone(), named(0, PodPhase::Pending)], at(3)).is_empty());
    assert_eq!(texts(&pods.require(4, at(4))), ["+1", "+2"]);
    assert!(pods.made("app-taskmanager-7-1", true, at(5)).is_empty());
    assert!(pods.made("app-taskmanager-7-2", false, at(5)).is_empty(), "refused: a pause");
    assert_eq!(pods.deadline(at(5)), Some(at(6)));
    assert_eq!(texts(&pods.tick(at(6))), ["+3"]);
}

#[test]
fn pods_that_fail_are_replaced_after_pauses_that_double_and_the_last_one_stays_for_its_logs() {
    let mut pods = planner();
    pods.observe(vec![], at(0));
    pods.require(1, at(0));
    let failed = |number| {
        let problem = Some("OOMKilled (exit code 137)".to_owned());
        PodFacts { problem, ..named(number, PodPhase::Failed) }
    };
    let actions = pods.observe(vec![failed(0)], at(10));
    let why = "its pod ended: OOMKilled (exit code 137)".to_owned();
    assert_eq!(actions, [PodAction::Gone("app-taskmanager-7-0".to_owned(), why)]);
    assert_eq!(texts(&pods.tick(at(11))), ["+1"]);
    let both = vec![failed(0), failed(1)];
    assert_eq!(texts(&pods.observe(both, at(12))), ["gone 1", "-0"], "the last one stays");
    assert!(pods.observe(vec![failed(1)], at(13)).is_empty(), "two seconds now");
    assert_eq!(texts(&pods.tick(at(14))), ["+2"]);
    pods.observe(vec![failed(1), named(2, PodPhase::Running)], at(15));
    pods.registration("app-taskmanager-7-2", true, at(16));
    assert!(pods.tick(at(611)).is_empty());
    assert_eq!(texts(&pods.tick(at(612))), ["-1"], "ten minutes");
    // One that has worked is replaced at once.
    let crashed = vec![failed(1), failed(2)];
    assert_eq!(texts(&pods.observe(crashed, at(613))), ["gone 2", "+3"]);
}

#[test]
fn a_pod_whose_task_manager_does_not_register_in_time_is_replaced() {
    let mut pods = planner();
    pods.observe(vec![], at(0));
    pods.require(1, at(0));
    let problem = Some("ImagePullBackOff: no such image".to_owned());
    let stuck = PodFacts { problem, ..named(0, PodPhase::Pending) };
    assert!(pods.observe(vec![stuck.clone()], at(1)).is_empty());
    assert_eq!(pods.deadline(at(1)), Some(at(301)));
    let actions = pods.tick(at(301));
    let PodAction::Delete { why, .. } = &actions[0] else { panic!("{actions:?}") };
    assert!(why.contains("within 300s: ImagePullBackOff"), "{why}");
    assert_eq!(texts(&pods.tick(at(302))), ["+1"]);
    // The request was lost: it is asked for again.
    assert_eq!(texts(&pods.observe(vec![stuck], at(311))), ["-0"]);
}

#[test]
fn surplus_pods_go_after_the_idle_timeout_but_never_one_that_has_registered() {
    let mut pods = planner();
    pods.observe(vec![], at(0));
    pods.require(3, at(0));
    let running = |numbers: &[u32]| -> Vec<PodFacts> {
        numbers.iter().map(|number| named(*number, PodPhase::Running)).collect()
    };
    pods.observe(running(&[0, 1]), at(1));
    pods.observe(running(&[0, 1, 2]), at(2));
    pods.registration("app-taskmanager-7-1", true, at(2));
    assert!(pods.require(1, at(10)).is_empty());
    assert!(pods.tick(at(39)).is_empty());
    assert_eq!(texts(&pods.tick(at(40))), ["-2", "-0"], "the newest first");
    assert_eq!(texts(&pods.release("app-taskmanager-7-1", at(41))), ["-1", "+3"]);
}

#[test]
fn a_pod_that_others_delete_is_about_to_go_and_replaced_before_it_is_gone() {
    let mut pods = planner();
    pods.observe(vec![], at(0));
    pods.require(1, at(0));
    pods.observe(vec![named(0, PodPhase::Running)], at(1));
    pods.registration("app-taskmanager-7-0", true, at(2));
    let deleting = PodFacts { deleting: true, ..named(0, PodPhase::Running) };
    let actions = pods.observe(vec![deleting.clone()], at(3));
    assert_eq!(texts(&actions), ["leaving 0", "+1"]);
    assert!(pods.observe(vec![deleting, named(1, PodPhase::Pending)], at(4)).is_empty());
    assert_eq!(texts(&pods.observe(vec![named(1, PodPhase::Pending)], at(5))), ["gone 0"]);
    let again = PodFacts { uid: "another".to_owned(), ..named(1, PodPhase::Pending) };
    pods.observe(vec![again], at(6));
}

#[test]
fn before_it_leads_pods_of_others_are_replaced_and_then_those_that_there_are_are_taken_over() {
    let made = |number: u32| pod(&format!("app-taskmanager-7-{number}"), PodPhase::Running);
    let mut preparing = planner().preparing();
    preparing.require(2, at(0));
    let foreign = pod("app-taskmanager-w1-0", PodPhase::Running);
    let actions = texts(&preparing.observe(vec![foreign.clone()], at(1)));
    assert_eq!(actions, ["-app-taskmanager-w1-0", "+0", "+1"]);
    let deleting = PodFacts { deleting: true, ..foreign };
    assert!(preparing.observe(vec![deleting, made(0), made(1)], at(2)).is_empty());
    preparing.registration("app-taskmanager-7-0", true, at(3));
    assert!(preparing.observe(vec![made(0), made(1)], at(4)).iter().all(|action| {
        matches!(action, PodAction::Gone(name, _) if name == "app-taskmanager-w1-0")
    }));
    // Its turn has come: another planner, in another term.
    let mut leading = PodPlanner::new("app-taskmanager-9".to_owned(), PodTimes::default());
    assert!(leading.observe(vec![made(0), made(1)], at(5)).is_empty());
    assert!(leading.require(2, at(6)).is_empty(), "they are there");
    assert_eq!(texts(&leading.require(3, at(7))), ["+app-taskmanager-9-0"]);
}

#[test]
fn a_pod_whose_task_manager_says_that_it_is_about_to_go_is_replaced_and_not_deleted() {
    let mut pods = planner();
    pods.observe(vec![], at(0));
    pods.require(1, at(0));
    pods.observe(vec![named(0, PodPhase::Running)], at(1));
    pods.registration("app-taskmanager-7-0", true, at(2));
    assert_eq!(texts(&pods.leaving("app-taskmanager-7-0", at(3))), ["+1"]);
    assert_eq!(pods.counts(), (1, 1));
    let deleting = PodFacts { deleting: true, ..named(0, PodPhase::Running) };
    assert!(pods.observe(vec![deleting, named(1, PodPhase::Running)], at(4)).is_empty(), "known");
    pods.registration("app-taskmanager-7-1", true, at(5));
    pods.registration("app-taskmanager-7-0", false, at(6));
    assert!(pods.tick(at(400)).is_empty(), "it ends by itself");
    let ended = vec![named(0, PodPhase::Succeeded), named(1, PodPhase::Running)];
    assert_eq!(texts(&pods.observe(ended, at(401))), ["gone 0", "-0"]);
}

/// Pods as the API server has them, and when each goes on.
#[derive(Default)]
struct Cluster {
    pods: BTreeMap<String, (PodFacts, u64)>,
    made: u64,
}

impl Cluster {
    fn perform(&mut self, actions: Vec<PodAction>, pods: &mut PodPlanner, now: u64, fate: u64) {
        for action in actions {
            match action {
                // Some requests fail, some are done and not answered.
                PodAction::Create(name) if fate == 0 => {
                    pods.made(&name, false, at(now));
                }
                PodAction::Create(name) => {
                    self.made += 1;
                    let uid = self.made.to_string();
                    let facts = PodFacts { uid, ..pod(&name, PodPhase::Pending) };
                    self.pods.insert(name.clone(), (facts, now + 1 + fate % 7));
                    if fate != 1 {
                        pods.made(&name, true, at(now));
                    }
                }
                PodAction::Delete { .. } if fate == 2 => {}
                PodAction::Delete { name, uid, .. } => {
                    if let Some((facts, next)) = self.pods.get_mut(&name) {
                        assert_eq!(facts.uid, uid);
                        facts.deleting = true;
                        *next = now + fate % 5;
                    }
                }
                PodAction::Gone(name, _) => {
                    pods.registration(&name, false, at(now));
                }
                PodAction::Leaving(..) => {}
            }
        }
    }

    fn go_on(&mut self, pods: &mut PodPlanner, now: u64) {
        let mut registered = Vec::new();
        self.pods.retain(|name, (facts, next)| {
            if now < *next {
                return true;
            }
            if facts.phase == PodPhase::Pending && !facts.deleting {
                facts.phase = PodPhase::Running;
                registered.push(name.clone());
            }
            !facts.deleting
        });
        for name in registered {
            let actions = pods.registration(&name, true, at(now));
            self.perform(actions, pods, now, 3);
        }
    }
}

#[test]
fn whatever_happens_to_pods_as_many_run_in_the_end_as_are_required_and_nothing_is_left() {
    for seed in 0..100 {
        let mut dice = Dice::of(seed);
        let mut cluster = Cluster::default();
        let mut pods = planner();
        let mut required = 0;
        for now in 0..3000 {
            let faults = now < 1500;
            if faults && dice.below(50) == 0 {
                required = dice.below(6) as usize;
                let actions = pods.require(required, at(now));
                cluster.perform(actions, &mut pods, now, dice.below(9));
            }
            if faults && dice.below(30) == 0 {
                let victim = dice.below(6) as usize;
                if let Some((facts, next)) = cluster.pods.values_mut().nth(victim) {
                    match dice.below(3) {
                        0 => facts.phase = PodPhase::Failed,
                        1 => facts.deleting = true,
                        _ => *next = now + dice.below(400),
                    }
                }
            }
            cluster.go_on(&mut pods, now);
            let fate = if faults { dice.below(9) } else { 3 };
            let actions = if dice.below(3) == 0 {
                let seen = cluster.pods.values().map(|(facts, _)| facts.clone()).collect();
                pods.observe(seen, at(now))
            } else {
                pods.tick(at(now))
            };
            cluster.perform(actions, &mut pods, now, fate);
        }
        let running: Vec<&String> = cluster
            .pods
            .values()
            .filter(|(facts, _)| facts.phase == PodPhase::Running && !facts.deleting)
            .map(|(facts, _)| &facts.name)
            .collect();
        // The ResourceManager releases those that have registered beyond what is required.
        assert!(running.len() >= required, "seed {seed}: {running:?} of {required}");
        let others = cluster.pods.len() - running.len();
        assert_eq!(others, 0, "seed {seed}: {:?}", cluster.pods);
    }
}
