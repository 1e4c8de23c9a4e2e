//! Maps and sets in the order of their keys.
//!
//! The entries lie in runs of a few hundred octets, the runs in a vector. What a search, an insertion or a removal
//! costs is what it costs in a tree of nodes of this size; the code is small, which counts here: the engines and
//! the simulator have dozens of tables, each with types, and so with code, of its own, and all of it is
//! downloaded with the page. Tables are bounded by their owners.

use alloc::vec::{self, Vec};
use core::cmp::Ordering;
use core::fmt;
use core::iter::Flatten;
use core::ops::{Bound, RangeBounds};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map that is walked in the order of its keys.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    /// None is empty; the keys ascend within each and from one to the next.
    runs: Vec<Vec<(K, V)>>,
    len: usize,
}

/// A set that is walked in order.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<K>(SortedMap<K, ()>);

/// Entries from one place of a map to another, from either end.
#[derive(Debug)]
pub struct Range<'a, K, V> {
    runs: &'a [Vec<(K, V)>],
    next: Place,
    end: Place,
}

/// The run and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    run: usize,
    index: usize,
}

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.len = 0;
    }

    /// All entries.
    #[must_use]
    pub fn iter(&self) -> Range<'_, K, V> {
        Range { runs: &self.runs, next: Place { run: 0, index: 0 }, end: Place { run: self.runs.len(), index: 0 } }
    }

    /// All entries, the values to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.runs.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.runs.iter_mut().flatten().map(|(_, value)| value)
    }

    /// The entry with the lowest key.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// Removes the entry with the lowest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.is_empty() { None } else { Some(self.take(Place { run: 0, index: 0 })) }
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for run in &mut self.runs {
            run.retain_mut(|(key, value)| keep(key, value));
        }
        self.runs.retain(|run| !run.is_empty());
        self.len = self.runs.iter().map(Vec::len).sum();
    }

    /// Removes the entry at a place, which exists.
    fn take(&mut self, at: Place) -> (K, V) {
        self.len -= 1;
        let entry = self.runs[at.run].remove(at.index);
        self.tidy(at.run);
        entry
    }

    /// Joins a run that became short with a neighbour if the two have room for as many again, so that no two
    /// neighbours stay short.
    fn tidy(&mut self, run: usize) {
        if self.len == 0 {
            self.runs.clear();
            return;
        }
        if self.runs[run].len() >= Self::RUN / 4 {
            return;
        }
        for first in [run, run.wrapping_sub(1)] {
            let len = |at: usize| self.runs.get(at).map_or(usize::MAX / 2, Vec::len);
            let (one, other) = (len(first), len(first.wrapping_add(1)));
            if one + other <= if one == 0 || other == 0 { Self::RUN } else { Self::RUN / 2 } {
                let mut second = self.runs.remove(first + 1);
                self.runs[first].append(&mut second);
                return;
            }
        }
    }

    /// Puts an entry at the place that a search gave for it.
    fn put(&mut self, mut at: Place, entry: (K, V)) -> Place {
        self.len += 1;
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        } else if self.runs[at.run].len() == Self::RUN {
            // What grows at its end leaves full runs behind.
            let at_end = at.run + 1 == self.runs.len() && at.index == Self::RUN;
            let kept = if at_end { Self::RUN } else { Self::RUN / 2 };
            let upper = self.runs[at.run].split_off(kept);
            self.runs.insert(at.run + 1, upper);
            if at.index >= kept {
                at = Place { run: at.run + 1, index: at.index - kept };
            }
        }
        self.runs[at.run].insert(at.index, entry);
        at
    }

    /// The most entries of a run: a kibioctet's worth.
    const RUN: usize = {
        // An entry without octets counts as one.
        let octets = size_of::<(K, V)>();
        let fit = 1_024 / (octets + (octets == 0) as usize);
        if fit < 8 {
            8
        } else if fit > 64 {
            64
        } else {
            fit
        }
    };
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Whether a key has an entry.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key).ok()?;
        Some(&self.runs[at.run][at.index].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        Some(&mut self.runs[at.run][at.index].1)
    }

    /// Sets the value of a key; gives the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(core::mem::replace(&mut self.runs[at.run][at.index].1, value)),
            Err(at) => {
                self.put(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which gets one if it has none.
    pub fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => self.put(at, (key, value())),
        };
        &mut self.runs[at.run][at.index].1
    }

    /// Removes a key; gives its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.take(at).1)
    }

    /// The entries whose keys are in a range.
    #[must_use]
    pub fn range(&self, keys: impl RangeBounds<K>) -> Range<'_, K, V> {
        let mut next = self.bound(keys.start_bound(), Ordering::Less).unwrap_or(Place { run: 0, index: 0 });
        if self.runs.get(next.run).is_some_and(|run| run.len() == next.index) {
            next = Place { run: next.run + 1, index: 0 };
        }
        let end = self.bound(keys.end_bound(), Ordering::Greater);
        Range { runs: &self.runs, next, end: end.unwrap_or(Place { run: self.runs.len(), index: 0 }) }
    }

    /// Where a range begins (its bound lies before an included key) or ends (it lies behind one).
    fn bound(&self, bound: Bound<&K>, included: Ordering) -> Option<Place> {
        let (key, side) = match bound {
            Bound::Included(key) => (key, included),
            Bound::Excluded(key) => (key, included.reverse()),
            Bound::Unbounded => return None,
        };
        Some(match self.find(key) {
            Ok(at) if side == Ordering::Greater => Place { index: at.index + 1, ..at },
            Ok(at) | Err(at) => at,
        })
    }

    /// Where a key is, or where it belongs.
    fn find(&self, key: &K) -> Result<Place, Place> {
        // The last run that does not begin behind the key.
        let (mut run, mut end) = (0, self.runs.len());
        while end - run > 1 {
            let middle = usize::midpoint(run, end);
            match self.runs[middle][0].0.cmp(key) {
                Ordering::Less => run = middle,
                Ordering::Equal => return Ok(Place { run: middle, index: 0 }),
                Ordering::Greater => end = middle,
            }
        }
        let entries = self.runs.get(run).map_or(&[][..], Vec::as_slice);
        let (mut index, mut end) = (0, entries.len());
        while index < end {
            let middle = usize::midpoint(index, end);
            match entries[middle].0.cmp(key) {
                Ordering::Less => index = middle + 1,
                Ordering::Equal => return Ok(Place { run, index: middle }),
                Ordering::Greater => end = middle,
            }
        }
        Err(Place { run, index })
    }
}

impl<'a, K, V> Iterator for Range<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let run = &self.runs[self.next.run];
        let (key, value) = &run[self.next.index];
        self.next.index += 1;
        if self.next.index == run.len() {
            self.next = Place { run: self.next.run + 1, index: 0 };
        }
        Some((key, value))
    }
}

impl<K, V> DoubleEndedIterator for Range<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.end.index == 0 {
            let run = self.end.run - 1;
            self.end = Place { run, index: self.runs[run].len() };
        }
        self.end.index -= 1;
        let (key, value) = &self.runs[self.end.run][self.end.index];
        Some((key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Range<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = Flatten<vec::IntoIter<Vec<(K, V)>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter().flatten()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        // Where the runs are cut depends on the past of a map.
        self.len == other.len && self.iter().eq(other)
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(Self::new()))
    }
}

/// A map that is being read. The last value of a key counts.
struct Entries<K, V>(SortedMap<K, V>);

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = SortedMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Self::Value, A::Error> {
        while let Some((key, value)) = entries.next_entry()? {
            self.0.insert(key, value);
        }
        Ok(self.0)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K> SortedSet<K> {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(SortedMap::new())
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all members.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All members.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.keys()
    }

    /// The lowest member.
    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.iter().next()
    }

    /// Removes the lowest member.
    pub fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(member, ())| member)
    }
}

impl<K: Ord> SortedSet<K> {
    /// Whether something is a member.
    #[must_use]
    pub fn contains(&self, member: &K) -> bool {
        self.0.contains_key(member)
    }

    /// Adds a member; says whether it is a further one.
    pub fn insert(&mut self, member: K) -> bool {
        self.0.insert(member, ()).is_none()
    }

    /// Removes a member; says whether it was one.
    pub fn remove(&mut self, member: &K) -> bool {
        self.0.remove(member).is_some()
    }

    /// The members in a range.
    pub fn range(&self, members: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = &K> {
        self.0.range(members).map(|(member, ())| member)
    }
}

impl<K> Default for SortedSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord> FromIterator<K> for SortedSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(members: I) -> Self {
        Self(members.into_iter().map(|member| (member, ())).collect())
    }
}

impl<K: fmt::Debug> fmt::Debug for SortedSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
