//! Operators against an API server that is simulated: they are killed, paused and cut off, and
//! writes are done and not answered; in half of the runs the Lease is also stolen, emptied and
//! deleted by somebody. Seeded.

use std::time::Duration;

use super::*;

/// xorshift64*: enough for drawing faults.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}

#[derive(Default)]
struct ApiServer {
    lease: Option<LeaseRecord>,
    versions: u64,
}

impl ApiServer {
    fn put(&mut self, holder: &str) {
        self.versions += 1;
        let holder = Some(holder.to_owned());
        self.lease = Some(LeaseRecord { version: self.versions.to_string(), holder });
    }

    /// A write that needs the Lease to be as it was read (None: absent); whether it was done.
    fn write(&mut self, read: Option<&LeaseRecord>, holder: &str) -> bool {
        let as_read = self.lease.as_ref().map(|lease| &lease.version) == read.map(|l| &l.version);
        if as_read {
            self.put(holder);
        }
        as_read
    }
}

struct Operator {
    elector: Elector,
    /// Nothing of it happens before then: it is paused or being started.
    away_until: u64,
    cut_off_until: u64,
    next: u64,
    lives: u64,
}

const SECOND: u64 = 1000;

fn process(pod: usize, lives: u64, now: u64) -> Operator {
    let elector = Elector::new(format!("pod-{pod}-{lives}"), LeaseTimes::default());
    let start = now + SECOND;
    Operator { elector, away_until: start, cut_off_until: 0, next: start, lives }
}

/// Who reconciles at this moment: whoever thinks that it leads, runs, and hasn't ended itself.
fn reconciling(operators: &[Operator], now: u64) -> Vec<&str> {
    let moment = Duration::from_millis(now);
    let active = operators.iter().filter(|each| {
        now >= each.away_until && each.elector.time_left(moment).is_some_and(|left| !left.is_zero())
    });
    active.map(|each| each.elector.identity()).collect()
}

fn fault(
    dice: &mut Dice,
    api: &mut ApiServer,
    operators: &mut [Operator],
    now: u64,
    foreign: bool,
) {
    let pod = dice.below(3) as usize;
    match dice.below(if foreign { 6 } else { 3 }) {
        0 => operators[pod] = process(pod, operators[pod].lives + 1, now + dice.below(20 * SECOND)),
        1 => operators[pod].away_until = now + dice.below(60 * SECOND),
        2 => operators[pod].cut_off_until = now + dice.below(40 * SECOND),
        3 => api.lease = None,
        4 => api.put("a-thief"),
        _ => api.put(""),
    }
}

/// Five minutes of faults, then a minute without. At its end exactly one leads, and it is the one
/// that the Lease names; where nobody else writes the Lease, there are never two.
fn run(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(2) + 1);
    let foreign = seed % 2 == 1;
    let mut api = ApiServer::default();
    let mut operators: Vec<Operator> = (0..3).map(|pod| process(pod, 0, 0)).collect();
    for now in (0..360 * SECOND).step_by(100) {
        let faults = now < 300 * SECOND;
        if faults && dice.below(40) == 0 {
            fault(&mut dice, &mut api, &mut operators, now, foreign);
        }
        for pod in 0..3 {
            step(&mut operators, pod, &mut api, now, &mut dice, faults);
        }
        let active = reconciling(&operators, now);
        assert!(foreign || active.len() <= 1, "seed {seed}, {now} ms: {active:?}");
    }
    let leaders = reconciling(&operators, 360 * SECOND);
    let holder = api.lease.as_ref().and_then(|lease| lease.held_by()).unwrap_or_default();
    assert_eq!(leaders, [holder], "seed {seed}");
}

fn step(
    operators: &mut [Operator],
    pod: usize,
    api: &mut ApiServer,
    now: u64,
    dice: &mut Dice,
    faults: bool,
) {
    let operator = &mut operators[pod];
    if now < operator.away_until {
        return;
    }
    let moment = Duration::from_millis(now);
    let overdue = operator.elector.time_left(moment).is_some_and(|left| left.is_zero());
    if now < operator.next && !overdue {
        return;
    }
    let looked = match &api.lease {
        _ if faults && now < operator.cut_off_until => Looked::Unknown("cut off".to_owned()),
        Some(lease) => Looked::There(lease.clone()),
        None => Looked::Absent,
    };
    let identity = operator.elector.identity().to_owned();
    let written = match operator.elector.step(looked, moment) {
        Step::Create => api.write(None, &identity),
        Step::Write(read) => api.write(Some(&read), &identity),
        Step::LookAgainAfter(after, _) => {
            operator.next = now + u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            return;
        }
        Step::Lost(_) => {
            *operator = process(pod, operator.lives + 1, now);
            return;
        }
    };
    let answered = !faults || dice.below(10) != 0;
    let pause = match written && answered {
        true => operator.elector.written(moment),
        false => operator.elector.not_written(),
    };
    operator.next = now + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
}

#[test]
fn whatever_happens_there_are_never_two_leaders_and_a_minute_later_there_is_one() {
    for seed in 0..600 {
        run(seed);
    }
}
