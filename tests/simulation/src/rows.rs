//! The input, made from the seed: the rows of both sources, and which of them are late. Late rows
//! are decided per split, row by row, as the engine promises to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dice::Dice;
use crate::plan::Plan;

/// How far rows may come out of order, in their split.
pub const OUT_OF_ORDER: Duration = Duration::from_millis(200);

/// A row of the main source: key, sequence within the key, event time, value. A late row's
/// sequence is [`LATE`].
pub type Event = (u64, u64, i64, u64);
/// A row of the second source: key, event time, weight.
pub type Mark = (u64, i64, u64);

/// The sequence of a row that isn't part of its key's.
pub const LATE: u64 = u64::MAX;

/// All rows, at the places at which `DataGenerator` asks for them.
#[derive(Debug, Default)]
pub struct Rows {
    /// The main source's.
    pub events: Vec<Event>,
    /// The second source's.
    pub marks: Vec<Mark>,
    /// How many numbers the third one counts.
    pub numbers: u64,
}

impl Rows {
    /// The rows of a seed.
    pub fn of(plan: &Plan) -> Self {
        let mut dice = Dice::new(plan.seed, "rows");
        let splits = u64::from(plan.splits);
        let mut sequences: BTreeMap<u64, u64> = BTreeMap::new();
        let mut highest: BTreeMap<u64, i64> = BTreeMap::new();
        let bound = OUT_OF_ORDER.as_millis() as i64;
        let step = dice.within(5..80);
        let mut events = Vec::new();
        for number in 0..plan.rows {
            let split = number % splits;
            let key = split + splits * dice.within(0..plan.keys);
            let on_time = (number / splits * step) as i64;
            let jitter = if dice.chance(50) { 3_000 } else { dice.within(0..150) };
            let time = (on_time - jitter as i64).max(0);
            let highest = highest.entry(split).or_insert(i64::MIN + bound);
            let late = time < *highest - bound;
            *highest = time.max(*highest);
            let sequence = if late {
                LATE
            } else {
                let next = sequences.entry(key).or_insert(0);
                *next += 1;
                *next
            };
            events.push((key, sequence, time, dice.within(0..1_000)));
        }
        let end = (plan.rows / splits * step) as i64;
        let keys = splits * plan.keys;
        let count = plan.rows / 5;
        let mark = |number: u64, dice: &mut Dice| {
            let time = end * number as i64 / count.max(1) as i64;
            (dice.within(0..keys), time, dice.within(0..100))
        };
        let marks = (0..count).map(|number| mark(number, &mut dice)).collect();
        Self { events, marks, numbers: plan.rows / 3 }
    }
}
