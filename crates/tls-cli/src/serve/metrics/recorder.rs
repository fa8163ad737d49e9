//! What the crate `metrics` tells the [`Registry`].

use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use super::registry::{Count, Number, Registry, Series};

impl Registry {
    fn register(&self, key: &Key, make: impl FnOnce() -> Series) -> Arc<Series> {
        let labels = key.labels().map(|label| (label.key(), label.value()));
        self.series(key.name(), labels, make)
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), &description);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), &description);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(key.as_str(), &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key, || Series::Counter(Count::default())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key, || Series::Gauge(Number::default())))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key, || Series::Histogram(Box::default())))
    }
}

// A name that is used for two kinds stays what it was first: the other kind counts nothing.

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        if let Self::Counter(count) = self {
            count.add(value);
        }
    }

    fn absolute(&self, value: u64) {
        if let Self::Counter(count) = self {
            count.raise_to(value);
        }
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        if let Self::Gauge(number) = self {
            number.add(value);
        }
    }

    fn decrement(&self, value: f64) {
        if let Self::Gauge(number) = self {
            number.add(-value);
        }
    }

    fn set(&self, value: f64) {
        if let Self::Gauge(number) = self {
            number.set(value);
        }
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        if let Self::Histogram(buckets) = self {
            buckets.record(value);
        }
    }
}
