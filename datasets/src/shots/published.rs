//! The study's draw, number for number: `numpy.random.seed(s)`, then for each class in order
//! `numpy.random.choice(n, k, replace=False)`, all from one stream (protocol §3.5). NumPy's legacy interface promises that
//! stream for ever (NEP 19): MT19937 (Matsumoto and Nishimura 1998) seeded by one 32-bit number, `choice` without
//! replacement as the first k of a shuffle, whole numbers below a bound by masked rejection.

use super::{Example, ShotError, by_class, enough};

/// What is done where a class has fewer pictures than shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// Refuse.
    Never,
    /// Draw with replacement, as the study did for the datasets it read from tables.
    WhenShort,
}

/// The stream of draws. Training shots are drawn first; for the datasets the study read from tables, the test pictures
/// are drawn next, by the same number of shots, from the same stream.
#[derive(Debug, Clone)]
pub struct PublishedDraw(Mt19937);

impl PublishedDraw {
    /// `numpy.random.seed(seed)`; the study's seed is 0, or 1 in a few runs.
    pub fn new(seed: u32) -> Self {
        Self(Mt19937::new(seed))
    }

    /// Draws `shots` of each class of `pool`, class by class, in the order drawn.
    ///
    /// # Errors
    /// When a class has fewer and `replacement` refuses, or none; when a label has no class.
    pub fn draw(
        &mut self,
        examples: &[Example],
        pool: &[usize],
        classes: &[String],
        shots: u32,
        replacement: Replacement,
    ) -> Result<Vec<usize>, ShotError> {
        let mut drawn = Vec::new();
        for (class, members) in by_class(examples, pool, classes.len())?.iter().enumerate() {
            let short = members.len() < shots as usize;
            let chosen = if short && replacement == Replacement::WhenShort && !members.is_empty() {
                enough(1, shots.min(1), &classes[class])?;
                self.choice_with_replacement(members.len(), shots as usize)
            } else {
                enough(members.len(), shots, &classes[class])?;
                self.choice(members.len(), shots as usize)
            };
            drawn.extend(chosen.into_iter().map(|at| members[at]));
        }
        Ok(drawn)
    }

    /// `numpy.random.choice(n, k, replace=False)`; k is at most n.
    fn choice(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.0.at_most(last));
        }
        order.truncate(k);
        order
    }

    /// `numpy.random.choice(n, k)`.
    fn choice_with_replacement(&mut self, n: usize, k: usize) -> Vec<usize> {
        (0..k).map(|_| self.0.at_most(n - 1)).collect()
    }
}

const WORDS: usize = 624;
const AHEAD: usize = 397;

/// The Mersenne Twister.
#[derive(Debug, Clone)]
struct Mt19937 {
    state: Box<[u32; WORDS]>,
    next: usize,
}

impl Mt19937 {
    fn new(seed: u32) -> Self {
        let mut state = Box::new([seed; WORDS]);
        for index in 1..WORDS {
            let before = state[index - 1];
            state[index] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(index as u32);
        }
        Self { state, next: WORDS }
    }

    fn refill(&mut self) {
        for index in 0..WORDS {
            let mixed = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % WORDS] & 0x7fff_ffff);
            let twisted = (mixed >> 1) ^ if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + AHEAD) % WORDS] ^ twisted;
        }
        self.next = 0;
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number from 0 to `most`: of the bits that `most` has, again while it is too large. 0 takes nothing.
    fn at_most(&mut self, most: usize) -> usize {
        let Ok(most) = u32::try_from(most) else { return 0 };
        if most == 0 {
            return 0;
        }
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let number = self.next_u32() & mask;
            if number <= most {
                return number as usize;
            }
        }
    }
}
