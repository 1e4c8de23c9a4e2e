//! Short lists in order. The sorting functions of the standard library are made for long ones: each list of
//! another type would add some kilobytes to what is downloaded.

/// The items by `before`, those that are equal in the order in which they came.
pub(crate) fn ordered<T>(items: impl IntoIterator<Item = T>, before: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut sorted = Vec::new();
    for item in items {
        let at = sorted.iter().rposition(|other| !before(&item, other)).map_or(0, |at| at + 1);
        sorted.insert(at, item);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_stay_in_their_order() {
        let items = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        let sorted = ordered(items, |a, b| a.0 < b.0);
        assert_eq!(sorted, [(1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
    }
}
