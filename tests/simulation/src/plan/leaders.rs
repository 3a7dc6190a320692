//! JobManagers that may end and be followed by another one: how many, and which faults they meet.

use std::time::Duration;

use crate::dice::Dice;

/// High availability: jobs have logs, and JobManagers are elected.
#[derive(Debug, Clone)]
pub struct HighAvailability {
    /// JobManagers, each on a host of its own.
    pub job_managers: usize,
    /// A leader that hasn't shown itself for so long counts as gone.
    pub lease: Duration,
    /// How often it shows itself, and others look.
    pub period: Duration,
    /// Published checkpoints that are kept.
    pub retained: u32,
    /// Leaders don't look whether they still lead: two believe that they do.
    pub blind: bool,
    /// A JobManager is killed and started again: a mean time between two, in ms; None: never.
    pub kill: Option<u64>,
    /// One is told to end, as by SIGTERM.
    pub terminate: Option<u64>,
    /// One stands still, past its lease or not: nothing that it asks for is done, and it hears
    /// nothing.
    pub pause: Option<u64>,
    /// A host, a TaskManager's too, can't reach the store; or it does, and hears no answer.
    pub cut_off: Option<u64>,
    /// The step of a JobManager in the store at which it dies, counted from 0, and whether the
    /// step was done.
    pub crash_at: Option<(u64, bool)>,
    /// The step at which it stands still, whether the step was done, and for how long.
    pub pause_at: Option<(u64, bool, Duration)>,
    /// Per mille of listings that are old or lack names.
    pub stale_lists: u64,
    /// The store writes whatever the condition.
    pub ignores_conditions: bool,
}

impl HighAvailability {
    /// Without faults.
    pub fn calm(job_managers: usize) -> Self {
        Self {
            job_managers,
            lease: Duration::from_millis(1_500),
            period: Duration::from_millis(300),
            retained: 1,
            blind: false,
            kill: None,
            terminate: None,
            pause: None,
            cut_off: None,
            crash_at: None,
            pause_at: None,
            stale_lists: 0,
            ignores_conditions: false,
        }
    }

    /// What the dice say.
    pub(super) fn drawn(with_faults: bool, dice: &mut Dice) -> Self {
        let mut this = Self::calm(dice.pick(&[1, 2, 2]));
        this.lease = dice.pick(&[400, 1_500, 3_000].map(Duration::from_millis));
        this.period = dice.pick(&[100, 300, 1_000].map(Duration::from_millis)).min(this.lease / 3);
        this.retained = dice.pick(&[1, 1, 3]);
        if !with_faults {
            return this;
        }
        let often = |dice: &mut Dice| Some(dice.within(500..3_000));
        if dice.chance(400) {
            this.kill = often(dice);
        }
        if dice.chance(150) {
            this.terminate = often(dice);
        }
        if dice.chance(300) {
            this.pause = often(dice);
        }
        if dice.chance(250) {
            this.cut_off = often(dice);
        }
        if dice.chance(250) {
            this.crash_at = Some((dice.within(0..300), dice.chance(500)));
        }
        if dice.chance(250) {
            let pause = dice.millis(200..6_000);
            this.pause_at = Some((dice.within(0..300), dice.chance(500), pause));
        }
        if dice.chance(250) {
            this.stale_lists = dice.pick(&[100, 500, 1_000]);
        }
        this.blind = dice.chance(200);
        this
    }
}
