//! What happens to hosts and to the links between them: a schedule that the seed draws, performed
//! as its time comes. After `heal_at` everything is repaired and nothing more happens, but that
//! processes which end are started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use turmoil::Sim;

use crate::cluster::{START_AGAIN, World};
use crate::dice::Dice;
use crate::plan::{HighAvailability, Mode, Plan};
use crate::store::Incident;
use crate::trace::Trace;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// A process dies; silently: nobody is told, as when its machine is lost.
    Kill { host: String, silently: bool },
    /// One is told to end.
    Stop { host: String },
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
    /// A process stands still.
    Pause { host: String },
    /// It goes on, and what it was about to do is done.
    Resume { host: String },
    /// A host can't reach the store, or hears no answer from it.
    CutOff { host: String },
    /// It reaches the store again.
    Reach { host: String },
    /// An object of the last published checkpoint vanishes, and all TaskManagers die.
    Vanish,
}

/// What is still to happen.
#[derive(Debug)]
pub struct Schedule {
    /// By time, and then in the order drawn.
    waiting: BTreeMap<(Duration, u64), Fault>,
    drawn: u64,
    /// Processes that have ended by themselves, by when others are started there.
    ended: BTreeSet<(Duration, String)>,
    /// JobManagers, then TaskManagers.
    hosts: Vec<String>,
    job_managers: usize,
    /// Hosts that are never healed.
    lost: BTreeSet<String>,
    heal_at: Duration,
    healed: bool,
    trace: Trace,
}

impl Schedule {
    /// What the plan says.
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let job_managers = plan.job_manager_hosts().count();
        let mut this = Self {
            waiting: BTreeMap::new(),
            drawn: 0,
            ended: BTreeSet::new(),
            hosts: plan.job_manager_hosts().chain(plan.task_manager_hosts()).collect(),
            job_managers,
            lost: BTreeSet::new(),
            heal_at: plan.heal_at,
            healed: false,
            trace,
        };
        this.add_faults(plan);
        this.add_later_faults(plan);
        if let Some(leaders) = &plan.high_availability {
            this.add_takeovers(plan, leaders);
        }
        if let Some(at) = plan.vanish_at {
            this.add(at, Fault::Vanish);
        }
        this
    }

    fn add_faults(&mut self, plan: &Plan) {
        let task_managers = self.hosts[self.job_managers..].to_vec();
        let hosts = self.hosts.len() as u64;
        let mut dice = Dice::new(plan.seed, "hosts");
        for at in times(plan.hosts.kill, plan.heal_at, &mut dice) {
            let host = one_of(&task_managers, &mut dice);
            let silently = dice.chance(300);
            self.kill(at, host, silently, dice.millis(50..4_000));
        }
        for at in times(plan.hosts.kill_all, plan.heal_at, &mut dice) {
            for host in &task_managers {
                self.kill(at, host.clone(), false, dice.millis(50..2_000));
            }
        }
        for at in times(plan.hosts.stop, plan.heal_at, &mut dice) {
            let host = one_of(&task_managers, &mut dice);
            self.add(at, Fault::Stop { host });
        }
        for at in times(plan.hosts.partition, plan.heal_at, &mut dice) {
            let a = dice.within(0..hosts) as usize;
            let b = (a + dice.within(1..hosts) as usize) % self.hosts.len();
            let (a, b) = (self.hosts[a].clone(), self.hosts[b].clone());
            self.add(at, Fault::Hold { a: a.clone(), b: b.clone() });
            self.add(at + dice.millis(100..5_000), Fault::Release { a, b });
        }
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
            let host = one_of(&self.hosts, &mut dice);
            self.add(at, Fault::Isolate { host: host.clone() });
            self.add(at + dice.millis(100..6_000), Fault::Join { host });
        }
    }

    /// What happens to JobManagers that aren't the only ones.
    fn add_takeovers(&mut self, plan: &Plan, leaders: &HighAvailability) {
        let job_managers = self.hosts[..self.job_managers].to_vec();
        let mut dice = Dice::new(plan.seed, "job managers");
        for at in times(leaders.kill, plan.heal_at, &mut dice) {
            let host = one_of(&job_managers, &mut dice);
            let silently = dice.chance(300);
            self.kill(at, host, silently, dice.millis(50..5_000));
        }
        for at in times(leaders.terminate, plan.heal_at, &mut dice) {
            let host = one_of(&job_managers, &mut dice);
            self.add(at, Fault::Stop { host });
        }
        for at in times(leaders.pause, plan.heal_at, &mut dice) {
            let host = one_of(&job_managers, &mut dice);
            self.add(at, Fault::Pause { host: host.clone() });
            self.add(at + dice.millis(100..8_000), Fault::Resume { host });
        }
        for at in times(leaders.cut_off, plan.heal_at, &mut dice) {
            let of = if dice.chance(700) { &job_managers } else { &self.hosts };
            let host = one_of(of, &mut dice);
            self.add(at, Fault::CutOff { host: host.clone() });
            self.add(at + dice.millis(100..6_000), Fault::Reach { host });
        }
    }

    fn kill(&mut self, at: Duration, host: String, silently: bool, dead: Duration) {
        self.add(at, Fault::Kill { host: host.clone(), silently });
        self.add(at + dead, Fault::Start { host });
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.waiting.insert((at, self.drawn), fault);
        self.drawn += 1;
    }

    /// Performs what is due.
    pub fn perform(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        self.start_what_has_ended(now, sim, world);
        for incident in world.store.take_incidents() {
            match incident {
                Incident::Death(host) => {
                    self.trace.outside(now, format_args!("{host} dies in the middle of a step"));
                    self.end(&host, now, sim, world);
                }
                Incident::Pause(host, time) => {
                    self.trace.outside(now, format_args!("{host} stands still in a step"));
                    self.inflict(&Fault::Pause { host: host.clone() }, sim, world);
                    self.add(now + time, Fault::Resume { host });
                }
            }
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

    /// All JobManagers die now, and the one on the first host that isn't lost is started again.
    pub fn replace_job_managers(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        let hosts = self.hosts[..self.job_managers].to_vec();
        for host in &hosts {
            self.inflict(&Fault::Kill { host: host.clone(), silently: false }, sim, world);
        }
        self.ended.clear();
        let next = hosts.into_iter().find(|host| !self.lost.contains(host));
        self.ended.extend(next.map(|host| (now + START_AGAIN, host)));
    }

    /// The process there has ended; another one is started in a while, also after the healing.
    fn end(&mut self, host: &str, now: Duration, sim: &mut Sim<'_>, world: &World) {
        self.inflict(&Fault::Kill { host: host.to_owned(), silently: false }, sim, world);
        if !self.lost.contains(host) {
            self.ended.insert((now + START_AGAIN, host.to_owned()));
        }
    }

    fn start_what_has_ended(&mut self, now: Duration, sim: &mut Sim<'_>, world: &World) {
        for host in world.take_exits() {
            self.end(&host, now, sim, world);
        }
        while self.ended.first().is_some_and(|(at, _)| *at <= now) {
            let first = self.ended.pop_first();
            first.into_iter().for_each(|(_, host)| start(&host, sim));
        }
    }

    fn inflict(&self, fault: &Fault, sim: &mut Sim<'_>, world: &World) {
        match fault {
            Fault::Stop { host } => world.stop(host),
            Fault::Kill { host, silently } => {
                // In the order in which its tasks are dropped, which differs from run to run, its
                // connections say goodbye: on an open link each would draw its delay.
                self.isolate(host, sim);
                if sim.is_host_running(host.as_str()) {
                    sim.crash(host.as_str());
                }
                if !*silently {
                    self.join(host, sim);
                }
                world.forget(host);
                world.store.pause(host, false);
            }
            Fault::Start { host } => {
                self.join(host, sim);
                start(host, sim);
            }
            Fault::Block { from, to } => world.one_way.block(from, to),
            Fault::Open { from, to } => world.one_way.open(from, to),
            Fault::Isolate { host } => self.isolate(host, sim),
            Fault::Join { host } => self.join(host, sim),
            Fault::Hold { a, b } => sim.hold(a.as_str(), b.as_str()),
            Fault::Release { a, b } => sim.release(a.as_str(), b.as_str()),
            Fault::Pause { host } => {
                self.isolate(host, sim);
                world.store.pause(host, true);
            }
            Fault::Resume { host } => {
                self.join(host, sim);
                world.store.pause(host, false);
            }
            Fault::CutOff { host } => world.store.cut_off(host, false),
            Fault::Reach { host } => world.store.reach(host),
            Fault::Vanish => {
                let lost = world.store.lose_an_object();
                self.trace.outside(sim.elapsed(), format_args!("{lost:?} is there no more"));
                for host in &self.hosts[self.job_managers..] {
                    self.inflict(&Fault::Kill { host: host.clone(), silently: false }, sim, world);
                    start(host, sim);
                }
            }
        }
    }

    fn isolate(&self, host: &str, sim: &Sim<'_>) {
        for other in self.hosts.iter().filter(|other| *other != host) {
            sim.hold(host, other.as_str());
        }
    }

    /// Links a host with the others again, but for those that are lost: a TaskManager of these that
    /// found its leader would get tasks, and could store nothing.
    fn join(&self, host: &str, sim: &Sim<'_>) {
        if self.lost.contains(host) {
            return;
        }
        for other in &self.hosts {
            if other != host && !self.lost.contains(other) {
                sim.release(host, other.as_str());
            }
        }
    }

    /// Heals all hosts and links, or those of the core; then the others are lost, each in its way.
    fn heal(&mut self, sim: &mut Sim<'_>, world: &World) {
        let plan = &world.plan;
        let mut dice = Dice::new(plan.seed, "lost");
        if plan.mode == Mode::Core {
            let (job_managers, task_managers) = self.hosts.split_at(self.job_managers);
            if job_managers.len() > 1 && dice.chance(500) {
                self.lost.insert(one_of(job_managers, &mut dice));
            }
            self.lost.extend(task_managers[plan.core()..].iter().cloned());
        }
        let (lost, healed): (Vec<_>, Vec<_>) =
            self.hosts.iter().partition(|host| self.lost.contains(*host));
        self.trace.outside(sim.elapsed(), format_args!("healed: {healed:?}"));
        world.one_way.open_all();
        for host in healed {
            self.join(host, sim);
            world.store.pause(host, false);
            world.store.reach(host);
            start(host, sim);
        }
        for host in lost {
            self.isolate(host, sim);
            if dice.chance(500) && sim.is_host_running(host.as_str()) {
                sim.crash(host.as_str());
            }
            // Who reaches the store and nobody else would lead for ever, to no end.
            world.store.cut_off(host, true);
        }
    }
}

fn start(host: &str, sim: &mut Sim<'_>) {
    if !sim.is_host_running(host) {
        sim.bounce(host);
    }
}

fn one_of(hosts: &[String], dice: &mut Dice) -> String {
    hosts[dice.within(0..hosts.len() as u64) as usize].clone()
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
