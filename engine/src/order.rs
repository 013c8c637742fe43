//! Keeping short lists in order.
//!
//! In place of the standard sort, whose every use costs the filter 4 kB. The
//! lists are bounded (fields of a mapping, experiments, buckets), so quadratic
//! moves do not matter.

use std::cmp::Ordering;

/// Puts `item` into `sorted`, behind what compares equal.
pub(crate) fn insert_by<T>(sorted: &mut Vec<T>, item: T, compare: impl Fn(&T, &T) -> Ordering) {
    let position = sorted.partition_point(|other| compare(other, &item) != Ordering::Greater);
    sorted.insert(position, item);
}
