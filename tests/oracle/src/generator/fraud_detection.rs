//! Card payments: ordinary ones at home, hot accounts, and episodes that break or nearly break a
//! rule of `fraud-detection`.

use std::io::Write;
use std::path::Path;

use super::arrival::Arrivals;
use super::dice::Dice;
use super::names::{LOCATIONS, MERCHANTS};
use super::{START_MS, create_files};
use crate::OracleError;
use crate::fraud_detection::Transaction;

/// An account pays about once in this time, whatever the number of accounts.
const MEAN_INTERVAL_MS: u64 = 600_000;
/// Ids are dealt in a mixed order within blocks of this many, so that they don't follow time.
const ID_BLOCK: u64 = 1_024;

/// What to make: card payments for `fraud-detection`.
#[derive(Clone, Copy, Debug)]
pub struct FraudDetectionData {
    /// The number of rows, in all files together.
    pub rows: u64,
    /// The number of accounts, at least 1; one in a hundred is hot, with a tenth of the payments.
    pub accounts: u64,
    /// Another seed gives other data.
    pub seed: u64,
}

impl FraudDetectionData {
    /// Writes CSV with headers, each row into one of the files.
    ///
    /// # Errors
    /// A writer that fails, no file, no account.
    pub fn write<W: Write>(&self, files: &mut [W]) -> Result<(), OracleError> {
        if self.accounts == 0 {
            return Err(OracleError::Options("at least one account is needed".to_owned()));
        }
        let mut arrivals = Arrivals::new(self.seed, files)?;
        let mut rows_left = self.rows;
        let mut next_number = 0;
        for number in 0.. {
            if rows_left == 0 {
                break;
            }
            let episode_ms = START_MS + at(number, self.accounts);
            arrivals.release_before(episode_ms)?;
            let episode = Episode::new(self, number, episode_ms);
            let mut payments = episode.payments;
            payments.truncate(usize::try_from(rows_left).unwrap_or(usize::MAX));
            rows_left -= payments.len() as u64;
            let numbers = next_number..next_number + payments.len() as u64;
            next_number = numbers.end;
            let mut ids: Vec<u64> = numbers.map(transaction_id).collect();
            if payments.iter().all(|payment| payment.event_time_ms == payments[0].event_time_ms) {
                // At the same time the ids decide the order: keep the episode's.
                ids.sort_unstable();
            }
            for (payment, transaction_id) in payments.into_iter().zip(ids) {
                arrivals.push(Transaction { transaction_id, ..payment }, episode.movable);
            }
        }
        arrivals.finish()
    }

    /// Writes one CSV file at `path`, or a folder of `files` many if that is above 1.
    ///
    /// # Errors
    /// A file that can't be created or written, no file, no account.
    pub fn write_to(&self, path: impl AsRef<Path>, files: usize) -> Result<(), OracleError> {
        self.write(&mut create_files(path.as_ref(), files)?)
    }
}

/// When the `number`-th episode begins, in milliseconds after the start.
fn at(number: u64, accounts: u64) -> u64 {
    (u128::from(number) * u128::from(MEAN_INTERVAL_MS) / u128::from(accounts)) as u64
}

/// An id for the `number`-th row: each number below a multiple of the block has its own.
fn transaction_id(number: u64) -> u64 {
    // An odd factor permutes the numbers of a block.
    let (block, place) = (number / ID_BLOCK, number % ID_BLOCK);
    block * ID_BLOCK + (place * 577 + 331) % ID_BLOCK + 1
}

/// A few payments of one account that belong together, in order of time.
struct Episode {
    payments: Vec<Transaction>,
    /// Whether a payment may be moved to another time without spoiling the episode's point.
    movable: bool,
}

impl Episode {
    fn new(data: &FraudDetectionData, number: u64, episode_ms: u64) -> Episode {
        let mut dice = Dice::new(data.seed, u64::from_le_bytes(*b"payments"), number);
        let interval_ms = at(number + 1, data.accounts) - at(number, data.accounts);
        let time_ms = episode_ms + dice.below(interval_ms + 1);
        // The upper fifth of the accounts is nearly quiet: there, nothing comes between the
        // payments of an episode that is about an exact bound.
        let quiet = data.accounts.div_ceil(5);
        let quiet_account = data.accounts - number % quiet;
        let account = match dice.per_mille(100) {
            true => 1 + dice.below(data.accounts.div_ceil(100)),
            false => 1 + dice.below(data.accounts.saturating_sub(quiet).max(1)),
        };
        let mut payments = Payments { seed: data.seed, account, time_ms, dice, made: vec![] };
        let kind = payments.dice.below(1_000);
        let exact = kind < 30 && payments.dice.per_mille(600);
        if exact {
            payments.account = quiet_account;
        }
        match (kind, exact) {
            (0..12, true) => payments.small_then_large_at_a_bound(),
            (0..12, false) => payments.small_then_large(),
            (12..20, true) => payments.travel_at_a_bound(),
            (12..20, false) => payments.travel(),
            (20..30, true) => payments.burst_at_a_bound(),
            (20..30, false) => payments.burst(),
            _ => payments.ordinary(),
        }
        Episode { payments: payments.made, movable: kind >= 30 }
    }
}

/// The payments of an episode while it is being made.
struct Payments {
    seed: u64,
    account: u64,
    time_ms: u64,
    dice: Dice,
    made: Vec<Transaction>,
}

impl Payments {
    /// Where the account's owner lives.
    fn home(&self) -> &'static str {
        Dice::new(self.seed, u64::from_le_bytes(*b"accounts"), self.account).pick(LOCATIONS)
    }

    /// Somewhere else.
    fn away(&mut self) -> &'static str {
        let home = self.home();
        let place = LOCATIONS.iter().position(|location| *location == home).unwrap_or(0);
        let step = self.dice.between(1, LOCATIONS.len() as u64 - 1) as usize;
        LOCATIONS[(place + step) % LOCATIONS.len()]
    }

    fn ordinary_amount(&mut self) -> u64 {
        match self.dice.below(100) {
            0 => self.dice.between(1, 99),
            1 => self.dice.between(50_001, 250_000),
            // Cheap things are bought more often.
            _ => 100 + self.dice.below(223) * self.dice.below(223),
        }
    }

    /// A payment some time after the episode's begin; its id is given later.
    fn pay(&mut self, after_ms: u64, amount_cents: u64, location: &str) {
        self.made.push(Transaction {
            transaction_id: 0,
            account_id: self.account,
            event_time_ms: self.time_ms + after_ms,
            amount_cents,
            merchant: self.dice.pick(MERCHANTS).to_owned(),
            location: location.to_owned(),
        });
    }

    fn ordinary(&mut self) {
        let location = if self.dice.per_mille(2) { self.away() } else { self.home() };
        let amount_cents = self.ordinary_amount();
        self.pay(0, amount_cents, location);
    }

    fn small_then_large(&mut self) {
        let home = self.home();
        let (small, large) = (self.dice.between(1, 99), self.dice.between(50_001, 900_000));
        let gap_ms = self.dice.below(60_001);
        self.pay(0, small, home);
        if self.dice.per_mille(200) {
            // Something in between: the large one no longer follows directly.
            self.pay(gap_ms / 2, 1_999, home);
        }
        self.pay(gap_ms, large, home);
    }

    fn small_then_large_at_a_bound(&mut self) {
        let home = self.home();
        let (gap_ms, first, second) = self.dice.pick(&[
            (60_000, 99, 50_001),
            (60_001, 99, 50_001),
            (20_000, 99, 50_001),
            (20_000, 100, 50_001),
            (20_000, 99, 50_000),
            (0, 1, 60_000),
            (0, 60_000, 1),
        ]);
        self.pay(0, first, home);
        self.pay(gap_ms, second, home);
    }

    fn travel(&mut self) {
        let (home, away) = (self.home(), self.away());
        let (gap_ms, back_ms) = (self.dice.below(600_000), self.dice.below(900_000));
        for (after_ms, location) in [(0, home), (gap_ms, away), (gap_ms + back_ms, home)] {
            let amount_cents = self.ordinary_amount();
            self.pay(after_ms, amount_cents, location);
        }
    }

    fn travel_at_a_bound(&mut self) {
        let (home, away) = (self.home(), self.away());
        let gap_ms = self.dice.pick(&[0, 1, 599_999, 600_000, 600_001]);
        self.pay(0, 1_250, home);
        self.pay(gap_ms, 4_900, away);
    }

    fn burst(&mut self) {
        let home = self.home();
        let spread_ms = self.dice.between(1_000, 70_000);
        let mut times: Vec<u64> =
            (0..self.dice.between(5, 12)).map(|_| self.dice.below(spread_ms)).collect();
        times.sort_unstable();
        for after_ms in times {
            let amount_cents = self.ordinary_amount();
            self.pay(after_ms, amount_cents, home);
        }
    }

    /// Payments from the first to the last millisecond of a window, or just beyond it.
    fn burst_at_a_bound(&mut self) {
        let home = self.home();
        self.time_ms = self.time_ms.next_multiple_of(10_000) + 10_000;
        let times: &[i64] = self.dice.pick::<&[i64]>(&[
            // Six in one window, and in no other.
            &[0, 12_000, 24_000, 36_000, 48_000, 59_999],
            // Five in a window: a sixth one at its end, a sixth one before its start, none.
            &[0, 12_000, 24_000, 36_000, 48_000, 60_000],
            &[-1, 12_000, 24_000, 36_000, 48_000, 59_999],
            &[0, 12_000, 24_000, 36_000, 59_999],
            // Five, six and seven at the same time.
            &[5_000, 5_000, 5_000, 5_000, 5_000],
            &[0, 0, 0, 0, 0, 0],
            &[9_999, 9_999, 9_999, 9_999, 9_999, 9_999, 9_999],
        ]);
        let window_ms = self.time_ms;
        for after_ms in times {
            self.time_ms = window_ms.saturating_add_signed(*after_ms);
            self.pay(0, 2_500, home);
        }
    }
}
