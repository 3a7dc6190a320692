//! What happens to hosts and to the links between them: a schedule that the seed draws, performed
//! as its time comes. After `heal_at` everything is repaired and nothing more happens.

use std::collections::BTreeMap;
use std::time::Duration;

use turmoil::Sim;

use crate::cluster::{JOB_MANAGER, World, task_manager};
use crate::dice::Dice;
use crate::plan::{Mode, Plan};
use crate::trace::Trace;

/// Until a TaskManager that died in the middle of a step is started again.
const START_AGAIN: Duration = Duration::from_millis(300);

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
    /// One doesn't hear the other.
    Block { from: String, to: String },
    /// It does again.
    Open { from: String, to: String },
    /// Nobody hears the host, which hears nobody.
    Isolate { host: String },
    /// They hear each other again.
    Join { host: String },
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
        this.add_later_faults(plan);
        this
    }

    fn add_later_faults(&mut self, plan: &Plan) {
        let mut dice = Dice::new(plan.seed, "hosts later");
        let hosts = self.hosts.len() as u64;
        for at in times(plan.hosts.one_way, plan.heal_at, &mut dice) {
            let a = dice.within(0..hosts);
            let b = (a + dice.within(1..hosts)) % hosts;
            let (from, to) = (self.hosts[a as usize].clone(), self.hosts[b as usize].clone());
            self.add(at, Fault::Block { from: from.clone(), to: to.clone() });
            self.add(at + dice.millis(100..5_000), Fault::Open { from, to });
        }
        for at in times(plan.hosts.isolate, plan.heal_at, &mut dice) {
            let host = self.hosts[dice.within(0..hosts) as usize].clone();
            self.add(at, Fault::Isolate { host: host.clone() });
            self.add(at + dice.millis(100..6_000), Fault::Join { host });
        }
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
        if let Some(host) = world.store.take_crash() {
            self.trace.outside(now, format_args!("{host} dies in the middle of a step"));
            self.inflict(&Fault::Kill { host: host.clone(), silently: false }, sim, world);
            self.add(now + START_AGAIN, Fault::Start { host });
        }
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
            self.heal(sim, world);
        }
    }

    fn inflict(&self, fault: &Fault, sim: &mut Sim<'_>, world: &World) {
        match fault {
            Fault::Stop { index } => world.stop_task_manager(*index),
            Fault::Kill { host, silently } => {
                if *silently {
                    self.isolate(host, sim);
                }
                if sim.is_host_running(host.as_str()) {
                    sim.crash(host.as_str());
                }
            }
            Fault::Start { host } => {
                self.join(host, sim);
                if !sim.is_host_running(host.as_str()) {
                    sim.bounce(host.as_str());
                }
            }
            Fault::Block { from, to } => world.one_way.block(from, to),
            Fault::Open { from, to } => world.one_way.open(from, to),
            Fault::Isolate { host } => self.isolate(host, sim),
            Fault::Join { host } => self.join(host, sim),
            Fault::Hold { a, b } => sim.hold(a.as_str(), b.as_str()),
            Fault::Release { a, b } => sim.release(a.as_str(), b.as_str()),
        }
    }

    fn isolate(&self, host: &str, sim: &Sim<'_>) {
        for other in self.hosts.iter().filter(|other| *other != host) {
            sim.hold(host, other.as_str());
        }
    }

    fn join(&self, host: &str, sim: &Sim<'_>) {
        for other in self.hosts.iter().filter(|other| *other != host) {
            sim.release(host, other.as_str());
        }
    }

    /// Heals all hosts and links, or those of the core; then the others are lost, each in its way.
    fn heal(&self, sim: &mut Sim<'_>, world: &World) {
        let plan = &world.plan;
        let core = if plan.mode == Mode::Core { plan.core() } else { plan.task_managers };
        // The hosts are the JobManager and then the TaskManagers.
        let (healed, lost) = self.hosts.split_at(1 + core);
        self.trace.outside(sim.elapsed(), format_args!("healed: {healed:?}"));
        world.one_way.open_all();
        for host in healed {
            self.join(host, sim);
            if !sim.is_host_running(host.as_str()) {
                sim.bounce(host.as_str());
            }
        }
        let mut dice = Dice::new(plan.seed, "lost");
        for host in lost {
            self.isolate(host, sim);
            if dice.chance(500) && sim.is_host_running(host.as_str()) {
                sim.crash(host.as_str());
            }
        }
    }
}

/// Moments before `end`, on average `mean_ms` apart.
pub(crate) fn times(mean_ms: Option<u64>, end: Duration, dice: &mut Dice) -> Vec<Duration> {
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
