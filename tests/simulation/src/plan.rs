//! What a seed stands for: the job's size, the cluster's, and which faults it meets. A random part
//! of the kinds of faults per seed (a swarm) finds more than all of them always.

mod leaders;

use std::time::Duration;

pub use leaders::HighAvailability;

use crate::dice::Dice;

/// Per mille of RPC messages that meet each fate, and how late late ones are.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageFaults {
    /// Lost.
    pub drop: u64,
    /// Sent twice.
    pub duplicate: u64,
    /// Late, and so out of order.
    pub delay: u64,
    /// How late at most, in ms.
    pub delay_ms: u64,
    /// A bit of it is wrong.
    pub flip: u64,
    /// The connection breaks with it.
    pub cut: u64,
}

/// Per mille of the store's operations that meet each fate.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreFaults {
    /// Nothing was done, and an error says so.
    pub fail: u64,
    /// It was done, and an error says that it wasn't.
    pub done_but_failed: u64,
    /// It takes long.
    pub slow: u64,
    /// How long at most, in ms.
    pub slow_ms: u64,
    /// It is answered only when everything is healed.
    pub hang: u64,
    /// A read gives less than was asked for.
    pub cut: u64,
    /// Outages, in which nothing is done: a mean time between two, in ms; None: none.
    pub outage: Option<u64>,
    /// How long one lasts at most, in ms.
    pub outage_ms: u64,
}

/// What happens to hosts and links, as a mean time between two, in ms; None: never.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFaults {
    /// A TaskManager dies, and another one is started.
    pub kill: Option<u64>,
    /// All of them die.
    pub kill_all: Option<u64>,
    /// One is told to end, as by SIGTERM.
    pub stop: Option<u64>,
    /// Two hosts don't hear each other for a while.
    pub partition: Option<u64>,
    /// One doesn't hear the other for a while, who hears it.
    pub one_way: Option<u64>,
    /// One host, the JobManager too, hears nobody and nobody hears it for a while.
    pub isolate: Option<u64>,
}

/// What is required of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the end everything is healed, and the job must finish.
    #[default]
    Heal,
    /// Safety: the faults never end. Nothing may be wrong, however far the job comes.
    Safety,
    /// Liveness: in the end only as many TaskManagers are healed as the job needs, and the others
    /// are lost for good. It must finish all the same.
    Core,
}

/// How long faults go on that never end: the end of the run.
pub const SAFETY_FOR: Duration = Duration::from_secs(15);

/// What a seed stands for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Rows of the main source.
    pub rows: u64,
    /// Its splits.
    pub splits: u32,
    /// Rows per second and source subtask.
    pub rate: f64,
    /// Keys per split.
    pub keys: u64,
    /// The job's parallelism.
    pub parallelism: u32,
    /// TaskManagers.
    pub task_managers: usize,
    /// Slots of each.
    pub slots: u32,
    /// Between checkpoints.
    pub checkpoint_interval: Duration,
    /// How long one may take.
    pub checkpoint_timeout: Duration,
    /// Rows of a batch.
    pub batch_rows: u32,
    /// Bytes in flight of a channel.
    pub channel_bytes: u64,
    /// Latency of a segment on the network, at most.
    pub latency_ms: u64,
    /// A task whose name contains this takes long for each step.
    pub slow_task: Option<&'static str>,
    /// How long.
    pub slow_step: Duration,
    /// By how much clocks are wrong at most, in ms.
    pub clock_skew_ms: u64,
    /// Times of day jump by up to this, in either direction, about once in this run; 0: never.
    pub clock_jump_ms: u64,
    /// RPC.
    pub messages: MessageFaults,
    /// One of so many data connections breaks after some bytes; 0: none.
    pub data_cut_one_in: u64,
    /// Per mille of writes on data connections that have a wrong bit.
    pub data_flip: u64,
    /// Storage.
    pub store: StoreFaults,
    /// Hosts and links.
    pub hosts: HostFaults,
    /// Per mille of calls of the user's function that fail or panic.
    pub user_failures: u64,
    /// Per mille of commits that fail although they were done.
    pub commit_failures: u64,
    /// The sink shows rows at once instead of at the commit: breaks the promise on purpose, to see
    /// that this is found.
    pub careless_sink: bool,
    /// When the job is cancelled; None: it is to finish.
    pub cancel_at: Option<Duration>,
    /// After this, nothing more goes wrong, but for what `mode` says.
    pub heal_at: Duration,
    /// What is required.
    pub mode: Mode,
    /// The step of a TaskManager in the store at which it dies, counted from 0, and whether the
    /// step was done.
    pub crash_at: Option<(u64, bool)>,
    /// When an object that the last published checkpoint needs vanishes, and all TaskManagers die.
    pub vanish_at: Option<Duration>,
    /// JobManagers that are followed by another one; None: one that never ends.
    pub high_availability: Option<HighAvailability>,
}

impl Plan {
    /// What this seed stands for. One seed in sixteen meets no fault at all: the control.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, "plan");
        let slow_tasks = [None, None, Some("Sequence"), Some("Window"), Some("Join"), Some("Sink")];
        let mut plan = Self {
            seed,
            rows: dice.within(60..350),
            splits: dice.within(1..5) as u32,
            rate: dice.pick(&[40.0, 80.0, 300.0]),
            keys: dice.within(1..4),
            parallelism: dice.pick(&[1, 2, 2, 3, 4]),
            task_managers: dice.pick(&[2, 3, 3]),
            slots: dice.pick(&[2, 4]),
            checkpoint_interval: dice.millis(100..900),
            checkpoint_timeout: dice.pick(&[Duration::from_secs(2), Duration::from_secs(20)]),
            batch_rows: dice.pick(&[1, 4, 32, 1024]),
            channel_bytes: dice.pick(&[32 << 10, 256 << 10]),
            latency_ms: dice.pick(&[1, 10, 50]),
            slow_task: dice.pick(&slow_tasks),
            slow_step: dice.millis(5..60),
            clock_skew_ms: dice.pick(&[0, 0, 500, 3_600_000]),
            clock_jump_ms: 0,
            messages: MessageFaults::default(),
            data_cut_one_in: 0,
            data_flip: 0,
            store: StoreFaults::default(),
            hosts: HostFaults::default(),
            user_failures: 0,
            commit_failures: 0,
            careless_sink: false,
            cancel_at: None,
            heal_at: Duration::ZERO,
            mode: Mode::Heal,
            crash_at: None,
            vanish_at: None,
            high_availability: None,
        };
        let with_faults = !seed.is_multiple_of(16);
        if with_faults {
            plan.add_faults(&mut dice);
        }
        let mut dice = Dice::new(seed, "high availability");
        if dice.chance(500) {
            plan.high_availability = Some(HighAvailability::drawn(with_faults, &mut dice));
        }
        plan
    }

    /// The hosts of JobManagers.
    pub fn job_manager_hosts(&self) -> impl Iterator<Item = String> + use<> {
        let hosts = self.high_availability.as_ref().map_or(1, |leaders| leaders.job_managers);
        (0..hosts).map(|index| format!("jm{index}"))
    }

    /// The hosts of TaskManagers.
    pub fn task_manager_hosts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.task_managers).map(|index| format!("tm{index}"))
    }

    fn add_faults(&mut self, dice: &mut Dice) {
        self.heal_at = dice.millis(2_000..6_000);
        if dice.chance(600) {
            self.messages = MessageFaults {
                drop: dice.pick(&[0, 20, 100, 250]),
                duplicate: dice.pick(&[0, 50, 200]),
                delay: dice.pick(&[0, 50, 300]),
                delay_ms: dice.pick(&[50, 500, 2_000]),
                flip: dice.pick(&[0, 0, 0, 5]),
                cut: dice.pick(&[0, 0, 5, 20]),
            };
        }
        if dice.chance(300) {
            self.data_cut_one_in = dice.pick(&[2, 4, 8]);
            self.data_flip = dice.pick(&[0, 0, 10]);
        }
        if dice.chance(500) {
            self.store = StoreFaults {
                fail: dice.pick(&[0, 20, 200]),
                done_but_failed: dice.pick(&[0, 20, 200]),
                slow: dice.pick(&[0, 100, 500]),
                slow_ms: dice.pick(&[100, 1_000, 4_000]),
                ..StoreFaults::default()
            };
        }
        let often = |dice: &mut Dice| Some(dice.within(500..2_500));
        if dice.chance(500) {
            self.hosts.kill = often(dice);
        }
        if dice.chance(150) {
            self.hosts.kill_all = often(dice);
        }
        if dice.chance(150) {
            self.hosts.stop = often(dice);
        }
        if dice.chance(200) {
            self.clock_jump_ms = dice.pick(&[100, 10_000, 86_400_000]);
        }
        if dice.chance(60) {
            self.cancel_at = Some(dice.millis(200..6_000));
        }
        if dice.chance(350) {
            self.hosts.partition = often(dice);
        }
        if dice.chance(250) {
            self.user_failures = dice.pick(&[2, 10]);
        }
        if dice.chance(250) {
            self.commit_failures = dice.pick(&[50, 300]);
        }
        self.add_later_faults(&mut Dice::new(self.seed, "later faults"));
    }

    /// Kinds of faults that were added later, with dice of their own: older seeds keep the rest.
    fn add_later_faults(&mut self, dice: &mut Dice) {
        let often = |dice: &mut Dice| Some(dice.within(500..2_500));
        if dice.chance(200) {
            self.hosts.one_way = often(dice);
        }
        if dice.chance(200) {
            self.hosts.isolate = often(dice);
        }
        if dice.chance(150) {
            self.store.hang = dice.pick(&[5, 30]);
        }
        if dice.chance(150) {
            self.store.cut = dice.pick(&[20, 200]);
        }
        if dice.chance(200) {
            self.store.outage = often(dice);
            self.store.outage_ms = dice.pick(&[500, 2_000, 10_000]);
        }
        if dice.chance(150) {
            self.crash_at = Some((dice.within(0..60), dice.chance(500)));
        }
        self.mode = match dice.within(0..4) {
            0 => Mode::Safety,
            1 => Mode::Core,
            _ => Mode::Heal,
        };
        if self.mode == Mode::Safety {
            self.heal_at = SAFETY_FOR;
        }
    }

    /// How many TaskManagers the job needs.
    pub fn core(&self) -> usize {
        self.parallelism.div_ceil(self.slots) as usize
    }
}
