//! Other customers of live services, from a seed.

use super::books::Books;
use super::catalogue::{Catalogue, Mode, ServiceRef};

/// How often a customer looks for a free place before going away.
const TRIES: u32 = 20;
/// Of how many customers one gives a place back instead of taking one.
const ONE_FREES_OF: u64 = 4;

/// The customers.
#[derive(Debug)]
pub struct Demand {
    state: u64,
}

impl Demand {
    /// Customers whose wishes follow from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    /// One customer takes a place of a live service in the window, or gives one back.
    pub fn step(&mut self, books: &mut Books, catalogue: &Catalogue, first_day: i32, days: u16) {
        if books.others() > 0 && self.next().is_multiple_of(ONE_FREES_OF) {
            let index = self.below(books.others());
            books.other_frees(catalogue, index);
        } else {
            self.take(books, catalogue, first_day, days);
        }
    }

    /// One customer takes a place of a live service in the window; false when none was found.
    pub fn take(
        &mut self,
        books: &mut Books,
        catalogue: &Catalogue,
        first_day: i32,
        days: u16,
    ) -> bool {
        for _ in 0..TRIES {
            let trip = self.below(catalogue.trips.len()) as u32;
            let day = first_day.saturating_add(self.below(usize::from(days)) as i32);
            let service = ServiceRef { trip, day };
            let Some(found) = catalogue.trip(service) else { continue };
            if !catalogue.runs_on(found, day) || catalogue.mode(service) != Mode::Live {
                continue;
            }
            let legs = found.times.len().saturating_sub(1);
            let from = self.below(legs) as u16;
            let to = from + 1 + self.below(legs - usize::from(from)) as u16;
            let seats = catalogue.layout(service).map_or(0, |l| l.units().count());
            let unit = self.below(seats) as u16;
            if books.other_takes(catalogue, service, unit, (from, to)) {
                return true;
            }
        }
        false
    }
}
