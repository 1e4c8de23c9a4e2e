//! Sorted maps and sets do what the standard library's ordered ones do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use pinhole_proto::sorted::{SortedMap, SortedSet};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    OrInsert(u16, u32),
    Remove(u16),
    PopFirst,
    RetainMultiples(u16),
    RemoveFrom(u16, u16),
    Ascend(u16, u16),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..2_000_u16;
    prop_oneof![
        20 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        5 => (key(), any::<u32>()).prop_map(|(key, value)| Step::OrInsert(key, value)),
        10 => key().prop_map(Step::Remove),
        5 => Just(Step::PopFirst),
        1 => (2..5_u16).prop_map(Step::RetainMultiples),
        3 => (key(), 0..400_u16).prop_map(|(key, count)| Step::RemoveFrom(key, count)),
        6 => (key(), 0..400_u16).prop_map(|(key, count)| Step::Ascend(key, count)),
        1 => Just(Step::Clear),
    ]
}

/// An entry of this size has a run of its own sort: few to a run, more to a run, the most to a run.
fn follow<V: Clone + std::fmt::Debug + PartialEq>(
    steps: &[Step],
    ranges: &[(u16, u16)],
    value: fn(u32) -> V,
) -> Result<(), TestCaseError> {
    let (mut map, mut model) = (SortedMap::new(), BTreeMap::new());
    for step in steps {
        match *step {
            Step::Insert(key, number) => {
                prop_assert_eq!(map.insert(key, value(number)), model.insert(key, value(number)));
            }
            Step::OrInsert(key, number) => {
                let (ours, theirs) = (map.or_insert_with(key, || value(number)), model.entry(key));
                prop_assert_eq!(ours, theirs.or_insert_with(|| value(number)));
            }
            Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
            Step::PopFirst => prop_assert_eq!(map.pop_first(), model.pop_first()),
            Step::RetainMultiples(of) => {
                map.retain(|key, _| key % of == 0);
                model.retain(|key, _| key % of == 0);
            }
            Step::RemoveFrom(from, count) => {
                for key in from..from + count {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
            }
            Step::Ascend(from, count) => {
                for key in from..from + count {
                    prop_assert_eq!(map.insert(key, value(7)), model.insert(key, value(7)));
                }
            }
            Step::Clear => {
                map.clear();
                model.clear();
            }
        }
        prop_assert_eq!(map.len(), model.len());
        prop_assert_eq!(map.is_empty(), model.is_empty());
        prop_assert_eq!(map.first(), model.first_key_value());
    }
    prop_assert!(map.iter().eq(&model));
    prop_assert!(map.iter().rev().eq(model.iter().rev()));
    prop_assert!(map.iter_mut().eq(model.iter_mut()));
    prop_assert!(map.values_mut().eq(model.values_mut()));
    prop_assert!(map.clone().into_iter().eq(model.clone()));
    for &(low, high) in ranges {
        prop_assert_eq!(map.get(&low), model.get(&low));
        prop_assert_eq!(map.get_mut(&low), model.get_mut(&low));
        prop_assert_eq!(map.contains_key(&high), model.contains_key(&high));
        let bounds = [
            (Bound::Included(low), Bound::Included(high)),
            (Bound::Included(low), Bound::Excluded(high)),
            (Bound::Excluded(low), Bound::Included(high)),
            (Bound::Excluded(low), Bound::Unbounded),
            (Bound::Included(low), Bound::Unbounded),
            (Bound::Unbounded, Bound::Excluded(low)),
            (Bound::Unbounded, Bound::Included(low)),
        ];
        for range in bounds {
            prop_assert!(map.range(range).eq(model.range(range)));
            prop_assert!(map.range(range).rev().eq(model.range(range).rev()));
            let (mut ours, mut theirs) = (map.range(range), model.range(range));
            while let Some(entry) = theirs.next() {
                prop_assert_eq!(ours.next(), Some(entry));
                prop_assert_eq!(ours.next_back(), theirs.next_back());
            }
            prop_assert_eq!((ours.next(), ours.next_back()), (None, None));
        }
    }
    // Equality does not depend on how a map came about.
    let rebuilt: SortedMap<_, _> = model.into_iter().rev().collect();
    prop_assert_eq!(rebuilt, map);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_sorted_map_does_what_an_ordered_tree_does(
        steps in prop::collection::vec(step(), 0..150),
        mut ranges in prop::collection::vec((0..2_100_u16, 0..2_100_u16), 0..12),
    ) {
        for (low, high) in &mut ranges {
            // The tree panics where a range begins behind its end.
            if low >= high {
                std::mem::swap(low, high);
                *high += 1;
            }
        }
        follow(&steps, &ranges, |_| ())?;
        follow(&steps, &ranges, |number| number)?;
        follow(&steps, &ranges, |number| [u64::from(number); 6])?;
        follow(&steps, &ranges, |number| [u64::from(number); 40])?;
    }

    #[test]
    fn a_sorted_set_does_what_an_ordered_tree_does(
        members in prop::collection::vec((any::<bool>(), 0..300_u16), 0..600),
        low in 0..150_u16,
    ) {
        let (mut set, mut model) = (SortedSet::new(), BTreeSet::new());
        for (insert, member) in members {
            if insert {
                prop_assert_eq!(set.insert(member), model.insert(member));
            } else {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            }
            prop_assert_eq!(set.contains(&member), insert);
        }
        prop_assert!(set.iter().eq(&model));
        prop_assert!(set.range(low..low + 99).rev().eq(model.range(low..low + 99).rev()));
        prop_assert_eq!(set.pop_first(), model.pop_first());
        prop_assert_eq!((set.len(), set.first()), (model.len(), model.first()));
    }
}

#[test]
fn a_range_that_begins_behind_its_end_is_empty() {
    let map: SortedMap<u32, ()> = (0..500).map(|key| (key, ())).collect();
    let (behind, before) = (300, 100);
    assert_eq!(map.range(behind..before).next(), None);
    assert_eq!(map.range(behind..before).next_back(), None);
}

#[test]
fn a_map_that_is_read_is_the_one_that_was_written_and_the_last_value_of_a_key_counts() {
    let map: SortedMap<String, u32> = (0..200).map(|n| (format!("{}", n * 37 % 200), n)).collect();
    let text = serde_json::to_string(&map).unwrap();
    assert_eq!(serde_json::from_str::<SortedMap<String, u32>>(&text).unwrap(), map);
    let twice: SortedMap<String, u32> = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
    assert_eq!(twice.iter().collect::<Vec<_>>(), [(&"a".to_owned(), &2), (&"b".to_owned(), &3)]);
    assert!(serde_json::from_str::<SortedMap<String, u32>>("[1]").is_err());
}
