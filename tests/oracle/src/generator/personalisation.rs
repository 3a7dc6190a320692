//! A shop's views and purchases: visits of users with their favourite categories, and visits that
//! end, begin or coincide exactly where a rule of `personalisation` decides.

use std::io::Write;
use std::path::Path;

use super::arrival::Arrivals;
use super::dice::Dice;
use super::names::CATEGORIES;
use super::{START_MS, create_files};
use crate::OracleError;
use crate::personalisation::{Purchase, View};

/// A user visits the shop about once in this time, whatever the number of users.
const MEAN_INTERVAL_MS: u64 = 7_200_000;
const SESSION_GAP_MS: u64 = 1_800_000;
const HOUR_MS: u64 = 3_600_000;
/// Few products, so that many are viewed equally often.
const PRODUCTS_PER_CATEGORY_MAX: u64 = 12;

/// What to make: views and purchases for `personalisation`.
#[derive(Clone, Copy, Debug)]
pub struct PersonalisationData {
    /// The number of rows, in all files of both inputs together.
    pub rows: u64,
    /// The number of users, at least 1; one in a hundred is hot, with a tenth of the visits.
    pub users: u64,
    /// Another seed gives other data.
    pub seed: u64,
}

impl PersonalisationData {
    /// Writes CSV with headers, each row into one of its input's files.
    ///
    /// # Errors
    /// A writer that fails, an input without a file, no user.
    pub fn write<W: Write>(&self, views: &mut [W], purchases: &mut [W]) -> Result<(), OracleError> {
        if self.users == 0 {
            return Err(OracleError::Options("at least one user is needed".to_owned()));
        }
        let mut views = Arrivals::new(self.seed, views)?;
        let mut purchases = Arrivals::new(self.seed, purchases)?;
        let mut rows_left = self.rows;
        for number in 0.. {
            if rows_left == 0 {
                break;
            }
            let visit_ms = START_MS + at(number, self.users);
            views.release_before(visit_ms)?;
            purchases.release_before(visit_ms)?;
            let visit = Visit::new(self, number, visit_ms);
            let events = usize::try_from(rows_left).unwrap_or(usize::MAX).min(visit.made.len());
            rows_left -= events as u64;
            for event in visit.made.into_iter().take(events) {
                match event {
                    Event::View(view) => views.push(view, visit.movable),
                    Event::Purchase(purchase) => purchases.push(purchase, visit.movable),
                }
            }
        }
        views.finish()?;
        purchases.finish()
    }

    /// Writes one CSV file at each path, or a folder of `files` many if that is above 1.
    ///
    /// # Errors
    /// A file that can't be created or written, no file, no user.
    pub fn write_to(
        &self,
        views: impl AsRef<Path>,
        purchases: impl AsRef<Path>,
        files: usize,
    ) -> Result<(), OracleError> {
        self.write(
            &mut create_files(views.as_ref(), files)?,
            &mut create_files(purchases.as_ref(), files)?,
        )
    }
}

/// When the `number`-th visit begins at the earliest, in milliseconds after the start.
fn at(number: u64, users: u64) -> u64 {
    (u128::from(number) * u128::from(MEAN_INTERVAL_MS) / u128::from(users)) as u64
}

enum Event {
    View(View),
    Purchase(Purchase),
}

/// One user's visit while it is being made.
struct Visit {
    seed: u64,
    user: u64,
    time_ms: u64,
    dice: Dice,
    made: Vec<Event>,
    /// Whether an event may be moved to another time without spoiling the visit's point.
    movable: bool,
}

impl Visit {
    fn new(data: &PersonalisationData, number: u64, visit_ms: u64) -> Visit {
        let mut dice = Dice::new(data.seed, u64::from_le_bytes(*b"visiting"), number);
        let interval_ms = at(number + 1, data.users) - at(number, data.users);
        let time_ms = visit_ms + dice.below(interval_ms + 1);
        // Taking turns keeps two visits of a user apart; hot users come in between.
        let user = match dice.per_mille(100) {
            true => 1 + dice.below(data.users.div_ceil(100)),
            false => 1 + number % data.users,
        };
        let movable = true;
        let mut visit = Visit { seed: data.seed, user, time_ms, dice, made: vec![], movable };
        match visit.dice.below(100) {
            0..10 => visit.around_the_gap(),
            10..15 => visit.around_the_hour(),
            15..22 => visit.coincidences(),
            22..26 => visit.buy_without_viewing(),
            _ => visit.look_around(),
        }
        visit
    }

    /// One of the user's two favourite categories, or any; some categories are hardly ever viewed.
    fn category(&mut self) -> usize {
        let mut user = Dice::new(self.seed, u64::from_le_bytes(*b"favoured"), self.user);
        let categories = CATEGORIES.len() as u64;
        let favourites = [user.low_below(categories), user.low_below(categories)];
        let category = match self.dice.below(10) {
            0..3 => favourites[0],
            3..5 => favourites[1],
            _ => self.dice.low_below(categories),
        };
        // The order of the names says nothing about how popular they are.
        category as usize * 7 % CATEGORIES.len()
    }

    /// A product of the category, popular ones more often. One in fifty is in two categories.
    fn product(&mut self, category: usize) -> u64 {
        let category = category as u64;
        // From one product to the most, whatever the category's rank.
        let products = (category * 5 + 3) % PRODUCTS_PER_CATEGORY_MAX + 1;
        let rank = self.dice.low_below(products);
        let shelf = if self.dice.per_mille(20) { category + 1 } else { category };
        // Ids of one to four digits, of which the lowest aren't the most popular.
        1 + (shelf * PRODUCTS_PER_CATEGORY_MAX + rank) * 89 % 1_009
    }

    fn view(&mut self, category: usize, product_id: u64) {
        let category = CATEGORIES[category].to_owned();
        let (user_id, event_time_ms) = (self.user, self.time_ms);
        self.made.push(Event::View(View { user_id, event_time_ms, product_id, category }));
    }

    fn purchase(&mut self, category: usize, product_id: u64) {
        let category = CATEGORIES[category].to_owned();
        let (user_id, event_time_ms) = (self.user, self.time_ms);
        let amount_cents = 100 + self.dice.below(200) * self.dice.below(100);
        let purchase = Purchase { user_id, event_time_ms, product_id, category, amount_cents };
        self.made.push(Event::Purchase(purchase));
    }

    /// Up to ten views, some of which lead to a purchase.
    fn look_around(&mut self) {
        for number in 0..self.dice.between(1, 10) {
            if number > 0 {
                self.time_ms += self.dice.between(500, 120_000);
            }
            let category = self.category();
            let product = self.product(category);
            self.view(category, product);
            if self.dice.per_mille(120) {
                self.time_ms += self.dice.below(60_000);
                self.purchase(category, product);
            }
        }
    }

    /// Two sessions, or one, exactly 30 minutes or a millisecond more or less apart.
    fn around_the_gap(&mut self) {
        self.movable = false;
        self.look_around();
        self.time_ms += SESSION_GAP_MS + self.dice.pick(&[0, 1]);
        let category = self.category();
        let product = self.product(category);
        if self.dice.per_mille(300) {
            self.purchase(category, product);
        } else {
            self.view(category, product);
        }
        self.time_ms += SESSION_GAP_MS - self.dice.pick(&[0, 1]);
        self.look_around();
    }

    /// Views in the last millisecond of a one-hour window and in the first of the next.
    fn around_the_hour(&mut self) {
        self.movable = false;
        let window_ms = self.time_ms.next_multiple_of(HOUR_MS);
        for time_ms in [window_ms + HOUR_MS - 1, window_ms + HOUR_MS] {
            self.time_ms = time_ms;
            let category = self.category();
            for _ in 0..self.dice.between(1, 3) {
                let product = self.product(category);
                self.view(category, product);
            }
        }
    }

    /// Events of both inputs in the same millisecond, identical ones among them.
    fn coincidences(&mut self) {
        self.movable = false;
        for _ in 0..self.dice.between(1, 4) {
            for _ in 0..self.dice.between(2, 4) {
                let category = self.category();
                let product = self.product(category);
                match self.dice.below(6) {
                    0 => self.purchase(category, product),
                    1 => {
                        self.view(category, product);
                        self.purchase(category, product);
                    }
                    2 => {
                        self.view(category, product);
                        self.view(category, product);
                    }
                    3 => {
                        // The same product, listed in another category too.
                        self.view(category, product);
                        self.view((category + 1) % CATEGORIES.len(), product);
                    }
                    _ => self.view(category, product),
                }
            }
            self.time_ms += self.dice.between(1, 90_000);
        }
    }

    fn buy_without_viewing(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            let category = self.category();
            let product = self.product(category);
            self.purchase(category, product);
            self.time_ms += self.dice.between(1, 30_000);
        }
    }
}
