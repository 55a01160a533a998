//! Sets of CPUs, in the kernel's list notation and as systemd's bit mask.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::terms::decimal::decimal;
use crate::terms::set::Set;

/// No kernel has more (CONFIG_NR_CPUS), and a range that is longer is a mistake
/// that must not cost memory.
const CPUS_AT_MOST: u32 = 8192;

/// A set of CPUs: `0-3,8` in cpuset.cpus (cgroups(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct CpuSet(Set<u32>);

/// Text that is no list of CPUs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no list of CPUs")]
pub(crate) struct NotCpus(String);

impl CpuSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(self.0.clone().intersection(&other.0))
    }

    /// As the property AllowedCPUs has it: bit n of byte n/8 is CPU n.
    pub(crate) fn to_mask(&self) -> Vec<u8> {
        let bytes = self.0.last().map_or(0, |last| last / 8 + 1);
        let byte =
            |at: u32| (0..8).map(move |bit| u8::from(self.0.contains(&(at * 8 + bit))) << bit);
        (0..bytes).map(|at| byte(at).sum()).collect()
    }

    pub(crate) fn from_mask(mask: &[u8]) -> Self {
        let cpus = (0..CPUS_AT_MOST / 8).zip(mask).flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
        });
        Self(cpus.collect())
    }
}

impl FromStr for CpuSet {
    type Err = NotCpus;

    fn from_str(text: &str) -> Result<Self, NotCpus> {
        let parts = text.trim().split(',').filter(|part| !part.is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.filter(|ranges| named(ranges) <= CPUS_AT_MOST as usize);
        let ranges = ranges.ok_or_else(|| NotCpus(text.to_owned()))?;
        Ok(Self(ranges.into_iter().flatten().collect()))
    }
}

fn range(part: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (decimal(first)?, decimal(last)?);
    (first <= last && last < CPUS_AT_MOST).then_some(first..=last)
}

/// Counted twice what is named twice: a file has room for the whole range a
/// thousand times.
fn named(ranges: &[RangeInclusive<u32>]) -> usize {
    ranges.iter().cloned().map(Iterator::count).sum()
}

impl fmt::Display for CpuSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let mut cpus = self.0.iter().copied().peekable();
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(out, "{comma}{first}")?,
                _ => write!(out, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl From<CpuSet> for String {
    fn from(cpus: CpuSet) -> Self {
        cpus.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = NotCpus;

    fn try_from(text: String) -> Result<Self, NotCpus> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    /// Show that the kernel's notation is read and written.
    #[test]
    fn the_kernels_notation_is_kept() {
        for text in ["", "0", "0-3", "0,2,4", "0-3,8,10-11", "63-64"] {
            assert_eq!(cpus(text).to_string(), text);
        }
        assert_eq!(cpus("0-1\n"), cpus("1,0"));
        for bad in ["a", "1-", "3-1", "-1", "0 1", "0-9999999"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad}");
        }
    }

    /// Show that systemd's mask holds the same set.
    #[test]
    fn a_mask_is_the_same_set() {
        assert_eq!(cpus("0,9").to_mask(), [1, 2]);
        for text in ["", "0", "7-8", "3,64,127"] {
            assert_eq!(CpuSet::from_mask(&cpus(text).to_mask()), cpus(text));
        }
    }

    /// Show that no list costs more memory than there can be CPUs, and that what
    /// a mask holds beyond them is not written down as unreadable.
    #[test]
    fn no_set_is_larger_than_a_machine() {
        assert!("0-4294967295".parse::<CpuSet>().is_err());
        assert!("0-8191,".repeat(1_000_000).parse::<CpuSet>().is_err());
        let mask = CpuSet::from_mask(&[0xff; 4096]);
        assert_eq!(mask.to_string().parse(), Ok(mask));
    }

    /// Show that two sets are joined and cut.
    #[test]
    fn sets_are_joined_and_cut() {
        assert_eq!(cpus("0-2").union(cpus("2-3")), cpus("0-3"));
        assert_eq!(cpus("0-2").intersection(&cpus("2-3")), cpus("2"));
    }
}
