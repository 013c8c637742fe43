//! Counters, gauges and histograms, shared by name over all VMs.

use crate::lock::lock;
use crate::types::Status;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// The recorded values in order, up to the first 10,000, and their count.
    Histogram {
        /// Recorded values.
        values: Vec<u64>,
        /// How many were recorded.
        count: u64,
    },
}

impl MetricValue {
    /// The number of a counter or gauge, the count of a histogram.
    pub fn number(&self) -> u64 {
        match self {
            MetricValue::Counter(value) | MetricValue::Gauge(value) => *value,
            MetricValue::Histogram { count, .. } => *count,
        }
    }
}

const KEPT_OBSERVATIONS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

type ByName = BTreeMap<(MetricKind, Vec<u8>), Arc<Cell>>;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    by_name: Mutex<ByName>,
}

#[derive(Debug, Default)]
struct Cell {
    value: AtomicU64,
    observations: Mutex<Vec<u64>>,
}

impl Metrics {
    pub(crate) fn snapshot(&self) -> BTreeMap<String, MetricValue> {
        let by_name = lock(&self.by_name);
        let read = |kind: &MetricKind, cell: &Cell| {
            let value = cell.value.load(Ordering::Relaxed);
            match kind {
                MetricKind::Counter => MetricValue::Counter(value),
                MetricKind::Gauge => MetricValue::Gauge(value),
                MetricKind::Histogram => {
                    MetricValue::Histogram { values: lock(&cell.observations).clone(), count: value }
                }
            }
        };
        by_name
            .iter()
            .map(|((kind, name), cell)| (String::from_utf8_lossy(name).into_owned(), read(kind, cell)))
            .collect()
    }

    fn open(&self, kind: MetricKind, name: &[u8]) -> Arc<Cell> {
        Arc::clone(lock(&self.by_name).entry((kind, name.to_vec())).or_default())
    }
}

/// The metric ids of one VM. An id carries its kind in the two low bits and
/// counts up from 4 in steps of 4, as in Envoy; defining a name again gives a
/// new id for the same value.
#[derive(Debug, Default)]
pub(crate) struct MetricTable {
    counters: Vec<Arc<Cell>>,
    gauges: Vec<Arc<Cell>>,
    histograms: Vec<Arc<Cell>>,
}

impl MetricTable {
    pub(crate) fn define(&mut self, metrics: &Metrics, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Histogram,
            _ => return Err(Status::BadArgument),
        };
        let cell = metrics.open(kind, name);
        let table = match kind {
            MetricKind::Counter => &mut self.counters,
            MetricKind::Gauge => &mut self.gauges,
            MetricKind::Histogram => &mut self.histograms,
        };
        table.push(cell);
        let index = u32::try_from(table.len()).map_err(|_| Status::InternalFailure)?;
        Ok(index << 2 | kind as u32)
    }

    pub(crate) fn increment(&self, id: u32, offset: i64) -> Result<(), Status> {
        match id & 3 {
            0 => {
                let cell = find(&self.counters, id)?;
                let offset = u64::try_from(offset).ok().filter(|&n| n > 0).ok_or(Status::BadArgument)?;
                cell.value.fetch_add(offset, Ordering::Relaxed);
            }
            1 => {
                let cell = find(&self.gauges, id)?;
                if offset > 0 {
                    cell.value.fetch_add(offset.unsigned_abs(), Ordering::Relaxed);
                } else {
                    cell.value.fetch_sub(offset.unsigned_abs(), Ordering::Relaxed);
                }
            }
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    /// Recording adds to a counter, as in Envoy.
    pub(crate) fn record(&self, id: u32, value: u64) -> Result<(), Status> {
        match id & 3 {
            0 => {
                find(&self.counters, id)?.value.fetch_add(value, Ordering::Relaxed);
            }
            1 => find(&self.gauges, id)?.value.store(value, Ordering::Relaxed),
            2 => {
                let cell = find(&self.histograms, id)?;
                cell.value.fetch_add(1, Ordering::Relaxed);
                let mut observations = lock(&cell.observations);
                if observations.len() < KEPT_OBSERVATIONS {
                    observations.push(value);
                }
            }
            _ => return Err(Status::NotFound),
        }
        Ok(())
    }

    pub(crate) fn get(&self, id: u32) -> Result<u64, Status> {
        match id & 3 {
            0 => Ok(find(&self.counters, id)?.value.load(Ordering::Relaxed)),
            1 => Ok(find(&self.gauges, id)?.value.load(Ordering::Relaxed)),
            _ => Err(Status::BadArgument),
        }
    }
}

fn find(table: &[Arc<Cell>], id: u32) -> Result<&Cell, Status> {
    let index = usize::try_from(id >> 2).ok().and_then(|n| n.checked_sub(1)).ok_or(Status::NotFound)?;
    table.get(index).map(Arc::as_ref).ok_or(Status::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_refusals_are_those_of_envoy() {
        let metrics = Metrics::default();
        let mut table = MetricTable::default();
        let counter = table.define(&metrics, 0, b"c").expect("a counter");
        let gauge = table.define(&metrics, 1, b"g").expect("a gauge");
        let histogram = table.define(&metrics, 2, b"h").expect("a histogram");
        assert_eq!((counter, gauge, histogram), (4, 5, 6));
        assert_eq!(table.define(&metrics, 3, b"x"), Err(Status::BadArgument));
        assert_eq!(table.increment(counter, 0), Err(Status::BadArgument));
        assert_eq!(table.increment(counter, -1), Err(Status::BadArgument));
        assert_eq!(table.increment(gauge, 5), Ok(()));
        assert_eq!(table.increment(gauge, -2), Ok(()));
        assert_eq!(table.get(gauge), Ok(3));
        assert_eq!(table.record(counter, 2), Ok(()));
        assert_eq!(table.get(counter), Ok(2));
        assert_eq!(table.increment(histogram, 1), Err(Status::BadArgument));
        assert_eq!(table.get(histogram), Err(Status::BadArgument));
        assert_eq!(table.record(7, 1), Err(Status::NotFound));
        assert_eq!(table.increment(400, 1), Err(Status::NotFound));
        let again = table.define(&metrics, 0, b"c").expect("the same counter");
        assert_eq!(table.get(again), Ok(2));
    }
}
