//! Numbers that a seed decides.

/// Marsaglia's xorshift64.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number up to `last`.
    pub(crate) fn up_to(&mut self, last: usize) -> usize {
        usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(last)
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        *of.get(self.up_to(of.len() - 1)).expect("one of none")
    }
}
