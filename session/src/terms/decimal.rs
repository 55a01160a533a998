//! Whole numbers, as the kernel and this plugin write them.

use std::str::FromStr;

/// Reads digits, and nothing else: no sign, no zero in front. So whoever prints
/// the number has the same text again, say the name of a file.
pub(crate) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    // What is no number ends here: it is asked of each name in a directory.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = text.len() == 1 || text.bytes().next() != Some(b'0');
    if is_plain && is_shortest { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a number has one notation, and one that is too large none.
    #[test]
    fn a_number_has_one_notation() {
        assert_eq!(["0", "7", "4294967295"].map(decimal::<u32>), [0, 7, u32::MAX].map(Some));
        for other in ["", "+7", "-7", "07", "00", "7 ", "0x7", "4294967296"] {
            assert_eq!(decimal::<u32>(other), None, "{other}");
        }
    }
}
