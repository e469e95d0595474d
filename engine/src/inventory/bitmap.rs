//! A row of bits: which units of a service are free on one slot.

/// A fixed number of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    bits: u16,
}

impl Bitmap {
    /// All bits set.
    #[must_use]
    pub fn full(bits: u16) -> Self {
        let words = usize::from(bits).div_ceil(64);
        let mut map = Self { words: vec![u64::MAX; words], bits };
        if let Some(last) = map.words.last_mut() {
            let spare = u32::from(bits % 64);
            if spare != 0 {
                *last = (1u64 << spare).wrapping_sub(1);
            }
        }
        map
    }

    /// Whether a bit is set; false beyond the end.
    #[must_use]
    pub fn get(&self, bit: u16) -> bool {
        bit < self.bits
            && self.words.get(usize::from(bit / 64)).is_some_and(|w| w & (1u64 << (bit % 64)) != 0)
    }

    /// Sets or clears a bit; nothing beyond the end.
    pub fn set(&mut self, bit: u16, on: bool) {
        if bit >= self.bits {
            return;
        }
        if let Some(word) = self.words.get_mut(usize::from(bit / 64)) {
            let mask = 1u64 << (bit % 64);
            if on {
                *word |= mask;
            } else {
                *word &= !mask;
            }
        }
    }

    /// Keeps the bits that are set in both.
    pub fn and(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    /// How many bits are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().fold(0, |sum, word| u32::saturating_add(sum, word.count_ones()))
    }

    /// The set bits, ascending.
    pub fn ones(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).zip(&self.words).flat_map(|(index, word)| {
            let base = index.saturating_mul(64);
            let mut rest = *word;
            core::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = u16::try_from(rest.trailing_zeros()).unwrap_or(0);
                rest &= rest.wrapping_sub(1);
                Some(base.saturating_add(bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_has_exactly_its_bits() {
        for bits in [0u16, 1, 63, 64, 65, 4096] {
            let map = Bitmap::full(bits);
            assert_eq!(map.count(), u32::from(bits));
            assert!(map.ones().eq(0..bits), "{bits}");
            assert!(!map.get(bits));
        }
    }

    #[test]
    fn bits_are_set_cleared_and_joined() {
        let mut map = Bitmap::full(130);
        for bit in [0u16, 64, 129, 500] {
            map.set(bit, false);
            assert!(!map.get(bit));
        }
        assert_eq!(map.count(), 127);
        let mut all = Bitmap::full(130);
        all.and(&map);
        assert_eq!(all, map);
        map.set(64, true);
        assert!(map.get(64) && !all.get(64));
    }
}
