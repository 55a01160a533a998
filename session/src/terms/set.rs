//! Sets, made with little code.

use std::collections::BinaryHeap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A set, sorted: the elements are those of a slice. The standard library's brings 4 KB
/// into the plugin for each type of element, its sorting 5 KB, a heap 1 KB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<T>", bound(deserialize = "T: Ord + Deserialize<'de>"))]
pub struct Set<T>(Vec<T>);

impl<T> Set<T> {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(Vec::new());
}

impl<T: Ord> Set<T> {
    /// Answers false where it is there already.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        let Err(at) = self.0.binary_search(&item) else { return false };
        self.0.insert(at, item);
        true
    }

    /// Whether `item` is in the set.
    #[must_use]
    pub fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }

    pub(crate) fn union(mut self, other: Self) -> Self {
        for item in other {
            self.insert(item);
        }
        self
    }

    pub(crate) fn intersection(self, other: &Self) -> Self {
        Self(self.into_iter().filter(|item| other.contains(item)).collect())
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Set<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Ord> From<Vec<T>> for Set<T> {
    fn from(items: Vec<T>) -> Self {
        let mut sorted = BinaryHeap::from(items).into_sorted_vec();
        sorted.dedup();
        Self(sorted)
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(items: [T; N]) -> Self {
        Vec::from(items).into()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that an element is there once, in its place, however it came.
    #[test]
    fn an_element_is_there_once() {
        let mut set: Set<_> = [5, 1, 5, 3].into_iter().collect();
        assert!(set.insert(4) && !set.insert(3));
        assert_eq!(&*set, [1, 3, 4, 5]);
        assert!(set.contains(&4) && !set.contains(&2));
        assert_eq!(set.union([9, 1, 2].into()), [1, 2, 3, 4, 5, 9].into());
        assert_eq!(Set::from([1, 2, 3]).intersection(&[4, 3, 1].into()), [1, 3].into());
        let read: Set<u32> = serde_json::from_str("[2, 1, 2]").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "[1,2]");
    }
}
