//! What happens to hosts and to the links between them: a schedule that the seed draws, performed
//! as its time comes. After `heal_at` everything is repaired and nothing more happens.

use std::collections::BTreeMap;
use std::time::Duration;

use turmoil::Sim;

use crate::cluster::{JOB_MANAGER, World, task_manager};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::trace::Trace;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// A TaskManager dies; silently: nobody is told, as when its machine is lost.
    Kill { host: String, silently: bool },
    /// One is told to end.
    Stop { index: usize },
    /// Another one is started there.
    Start { host: String },
    /// Two hosts don't hear each other. Nothing is lost: TCP sends it again.
    Hold { a: String, b: String },
    /// They do again.
    Release { a: String, b: String },
}

/// What is still to happen.
#[derive(Debug)]
pub struct Schedule {
    /// By time, and then in the order drawn.
    waiting: BTreeMap<(Duration, u64), Fault>,
    hosts: Vec<String>,
    heal_at: Duration,
    healed: bool,
    trace: Trace,
}

impl Schedule {
    /// What the plan says.
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let task_managers: Vec<String> = (0..plan.task_managers).map(task_manager).collect();
        let mut hosts = vec![JOB_MANAGER.to_owned()];
        hosts.extend(task_managers.iter().cloned());
        let mut this =
            Self { waiting: BTreeMap::new(), hosts, heal_at: plan.heal_at, healed: false, trace };
        let mut dice = Dice::new(plan.seed, "hosts");
        for at in times(plan.hosts.kill, plan.heal_at, &mut dice) {
            let host = task_managers[dice.within(0..task_managers.len() as u64) as usize].clone();
            let silently = dice.chance(300);
            this.kill(at, host, silently, dice.millis(50..4_000));
        }
        for at in times(plan.hosts.kill_all, plan.heal_at, &mut dice) {
            for host in &task_managers {
                this.kill(at, host.clone(), false, dice.millis(50..2_000));
            }
        }
        for at in times(plan.hosts.stop, plan.heal_at, &mut dice) {
            let index = dice.within(0..task_managers.len() as u64) as usize;
            this.add(at, Fault::Stop { index });
        }
        for at in times(plan.hosts.partition, plan.heal_at, &mut dice) {
            let a = dice.within(0..this.hosts.len() as u64) as usize;
            let b = (a + dice.within(1..this.hosts.len() as u64) as usize) % this.hosts.len();
            let (a, b) = (this.hosts[a].clone(), this.hosts[b].clone());
            this.add(at, Fault::Hold { a: a.clone(), b: b.clone() });
            this.add(at + dice.millis(100..5_000), Fault::Release { a, b });
        }
        this
    }

    fn kill(&mut self, at: Duration, host: String, silently: bool, dead: Duration) {
        self.add(at, Fault::Kill { host: host.clone(), silently });
        self.add(at + dead, Fault::Start { host });
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.waiting.insert((at, self.waiting.len() as u64), fault);
    }

    /// Performs what is due.
    pub fn perform(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now || now >= self.heal_at {
                break;
            }
            let fault = first.remove();
            self.trace.outside(now, format_args!("{fault:?}"));
            self.inflict(&fault, sim, world);
        }
        if now >= self.heal_at && !self.healed {
            self.healed = true;
            self.heal(sim);
        }
    }

    fn inflict(&self, fault: &Fault, sim: &mut Sim<'_>, world: &World) {
        match fault {
            Fault::Stop { index } => world.stop_task_manager(*index),
            Fault::Kill { host, silently } => {
                if *silently {
                    for other in self.hosts.iter().filter(|other| *other != host) {
                        sim.hold(host.as_str(), other.as_str());
                    }
                }
                if sim.is_host_running(host.as_str()) {
                    sim.crash(host.as_str());
                }
            }
            Fault::Start { host } => {
                for other in self.hosts.iter().filter(|other| *other != host) {
                    sim.release(host.as_str(), other.as_str());
                }
                if !sim.is_host_running(host.as_str()) {
                    sim.bounce(host.as_str());
                }
            }
            Fault::Hold { a, b } => sim.hold(a.as_str(), b.as_str()),
            Fault::Release { a, b } => sim.release(a.as_str(), b.as_str()),
        }
    }

    fn heal(&self, sim: &mut Sim<'_>) {
        self.trace.outside(sim.elapsed(), "everything is healed");
        for (at, a) in self.hosts.iter().enumerate() {
            for b in &self.hosts[at + 1..] {
                sim.release(a.as_str(), b.as_str());
            }
        }
        for host in &self.hosts {
            if !sim.is_host_running(host.as_str()) {
                sim.bounce(host.as_str());
            }
        }
    }
}

/// Moments before `end`, on average `mean_ms` apart.
fn times(mean_ms: Option<u64>, end: Duration, dice: &mut Dice) -> Vec<Duration> {
    let Some(mean_ms) = mean_ms else { return Vec::new() };
    let mut at = Duration::ZERO;
    let mut times = Vec::new();
    loop {
        at += dice.millis(mean_ms / 2..mean_ms * 3 / 2);
        if at >= end {
            return times;
        }
        times.push(at);
    }
}
