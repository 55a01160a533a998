//! Random texts that look like what a parser reads.

use std::ops::Range;

use crate::random::Random;

/// What any parser may stumble over.
const PITFALLS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "+1",
    "01",
    "1.5",
    "1e9",
    "0x1f",
    "8192",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{1b}[2J",
    "\u{a0}",
    "\u{e9}",
    "..",
];

/// The longest piece that one change touches, and how often it is repeated when
/// it is: beyond the 128 levels to which serde_json nests.
const PIECE: usize = 16;
const REPEATED: usize = 200;

/// What a parser reads.
pub struct Grammar {
    /// Its words.
    pub tokens: &'static [&'static str],
    /// Texts that it accepts.
    pub samples: &'static [&'static str],
}

/// An input.
#[derive(Debug)]
pub struct Case {
    /// As it is.
    pub bytes: Vec<u8>,
    /// As text.
    pub text: String,
}

impl Case {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { bytes, text }
    }
}

impl Grammar {
    pub(crate) fn case(&self, random: &mut Random) -> Case {
        Case::new(match random.below(8) {
            0 => noise(random),
            1 | 2 => self.sentence(random),
            _ => self.mutant(random),
        })
    }

    fn token(&self, random: &mut Random) -> &'static str {
        let from = if random.below(4) == 0 { &PITFALLS } else { self.tokens };
        random.one_of(from)
    }

    fn sentence(&self, random: &mut Random) -> Vec<u8> {
        (0..random.up_to(PIECE)).flat_map(|_| self.token(random).bytes()).collect()
    }

    fn mutant(&self, random: &mut Random) -> Vec<u8> {
        let mut text = random.one_of(self.samples).as_bytes().to_vec();
        for _ in 0..random.up_to(4) {
            self.change(&mut text, random);
        }
        text
    }

    fn change(&self, text: &mut Vec<u8>, random: &mut Random) {
        let piece = piece(text, random);
        match random.below(8) {
            0 => flip(text, random),
            1 => text.truncate(piece.start),
            2 => drop(text.drain(piece)),
            3 => self.splice(text, piece, random),
            4 => repeat(text, piece, random),
            _ => drop(text.splice(piece, self.token(random).bytes())),
        }
    }

    fn splice(&self, text: &mut Vec<u8>, at: Range<usize>, random: &mut Random) {
        let other = random.one_of(self.samples).as_bytes();
        let taken = piece(other, random);
        text.splice(at, other.get(taken).unwrap_or_default().iter().copied());
    }
}

fn noise(random: &mut Random) -> Vec<u8> {
    let byte = |random: &mut Random| random.up_to(u8::MAX.into()).to_le_bytes()[0];
    (0..random.up_to(4 * PIECE)).map(|_| byte(random)).collect()
}

fn piece(text: &[u8], random: &mut Random) -> Range<usize> {
    let start = random.up_to(text.len());
    start..start + random.up_to(PIECE.min(text.len() - start))
}

fn flip(text: &mut [u8], random: &mut Random) {
    let at = random.up_to(text.len());
    if let Some(byte) = text.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn repeat(text: &mut Vec<u8>, piece: Range<usize>, random: &mut Random) {
    let times = if random.below(16) == 0 { REPEATED } else { 2 };
    let repeated = text.get(piece.clone()).unwrap_or_default().repeat(times);
    text.splice(piece, repeated);
}
