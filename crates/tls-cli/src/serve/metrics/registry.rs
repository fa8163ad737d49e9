//! All metrics, and how Prometheus reads them ("text format 0.0.4").

use core::fmt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Upper bounds of the buckets of histograms, in seconds: for handshakes, and for streams that last.
const BOUNDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0,
];

/// What was registered, by name. It prints as what Prometheus reads.
#[derive(Debug, Default)]
pub(super) struct Registry {
    families: Mutex<BTreeMap<String, Family>>,
}

/// The metrics of one name.
#[derive(Debug, Default)]
struct Family {
    help: String,
    /// By their labels, as they are printed.
    series: BTreeMap<String, Arc<Series>>,
}

/// What is counted for one name and its labels.
#[derive(Debug)]
pub(super) enum Series {
    Counter(Count),
    Gauge(Number),
    Histogram(Box<Buckets>),
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Number(AtomicU64);

/// How many values are at most so large (each counted once: printing adds them up), and their sum.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    sum: Number,
}

impl Count {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn raise_to(&self, count: u64) {
        self.0.fetch_max(count, Relaxed);
    }
}

impl Number {
    pub(super) fn add(&self, value: f64) {
        let mut bits = self.0.load(Relaxed);
        while let Err(changed) =
            self.0
                .compare_exchange_weak(bits, (f64::from_bits(bits) + value).to_bits(), Relaxed, Relaxed)
        {
            bits = changed;
        }
    }

    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

impl Buckets {
    pub(super) fn record(&self, value: f64) {
        let place = BOUNDS.iter().position(|bound| value <= *bound);
        let count = place.and_then(|place| self.counts.get(place));
        count.unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.sum.add(value);
    }
}

impl Series {
    /// As `# TYPE` has it.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Registry {
    /// What is printed above the metrics of this name.
    pub(super) fn describe(&self, name: &str, help: &str) {
        self.families().entry(name.to_owned()).or_default().help = help.to_owned();
    }

    /// The series of this name and these labels, which is made so if there is none.
    pub(super) fn series<'a>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        make: impl FnOnce() -> Series,
    ) -> Arc<Series> {
        let mut families = self.families();
        let family = families.entry(name.to_owned()).or_default();
        let series = family
            .series
            .entry(printed(labels))
            .or_insert_with(|| Arc::new(make()));
        Arc::clone(series)
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `name="value",…`
fn printed<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let labels = labels.map(|(name, value)| {
        let value = value
            .replace('\\', r"\\")
            .replace('"', r#"\""#)
            .replace('\n', r"\n");
        format!(r#"{name}="{value}""#)
    });
    labels.collect::<Vec<_>>().join(",")
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &*self.families() {
            let Some(first) = family.series.values().next() else {
                continue;
            };
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            writeln!(f, "# HELP {name} {help}")?;
            writeln!(f, "# TYPE {name} {}", first.kind())?;
            for (labels, series) in &family.series {
                match &**series {
                    Series::Counter(Count(count)) => {
                        writeln!(f, "{name}{{{labels}}} {}", count.load(Relaxed))?
                    }
                    Series::Gauge(number) => writeln!(f, "{name}{{{labels}}} {}", number.get())?,
                    Series::Histogram(buckets) => buckets.print(f, name, labels)?,
                }
            }
        }
        Ok(())
    }
}

impl Buckets {
    fn print(&self, f: &mut fmt::Formatter<'_>, name: &str, labels: &str) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0_u64;
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            total = total.saturating_add(count.load(Relaxed));
            writeln!(f, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}")?;
        }
        total = total.saturating_add(self.above.load(Relaxed));
        writeln!(f, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {total}")?;
        writeln!(f, "{name}_sum{{{labels}}} {}", self.sum.get())?;
        writeln!(f, "{name}_count{{{labels}}} {total}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Number, Registry, Series};

    fn counter(registry: &Registry, name: &str, labels: &[(&str, &str)], count: u64) {
        let series = registry.series(name, labels.iter().copied(), || Series::Counter(Count::default()));
        match &*series {
            Series::Counter(counter) => counter.add(count),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn metrics_are_printed_in_order_with_their_descriptions() {
        let registry = Registry::default();
        registry.describe("b_total", "the second\nof \\ them");
        registry.describe("c_total", "of which there is none");
        counter(&registry, "b_total", &[("x", "2")], 3);
        counter(&registry, "b_total", &[("x", "1"), ("y", "q\"\\\n")], 4);
        counter(&registry, "b_total", &[("x", "2")], 2);
        let series = registry.series("a", [].into_iter(), || Series::Gauge(Number::default()));
        let Series::Gauge(gauge) = &*series else {
            panic!("{series:?}")
        };
        gauge.set(2.5);
        gauge.add(-1.0);
        assert_eq!(
            registry.to_string(),
            "# HELP a \n# TYPE a gauge\na{} 1.5\n\
             # HELP b_total the second\\nof \\\\ them\n# TYPE b_total counter\n\
             b_total{x=\"1\",y=\"q\\\"\\\\\\n\"} 4\nb_total{x=\"2\"} 5\n"
        );
    }

    #[test]
    fn a_histogram_counts_what_is_at_most_so_large() {
        let registry = Registry::default();
        let series = registry.series(
            "t",
            [("x", "1")].into_iter(),
            || Series::Histogram(Box::default()),
        );
        let Series::Histogram(buckets) = &*series else {
            panic!("{series:?}")
        };
        for value in [0.5, 0.25, 10_000.0, 3.0] {
            buckets.record(value);
        }
        let text = registry.to_string();
        for line in [
            "# TYPE t histogram",
            "t_bucket{x=\"1\",le=\"0.001\"} 0",
            "t_bucket{x=\"1\",le=\"0.25\"} 1",
            "t_bucket{x=\"1\",le=\"0.5\"} 2",
            "t_bucket{x=\"1\",le=\"1\"} 2",
            "t_bucket{x=\"1\",le=\"5\"} 3",
            "t_bucket{x=\"1\",le=\"3600\"} 3",
            "t_bucket{x=\"1\",le=\"+Inf\"} 4",
            "t_sum{x=\"1\"} 10003.75",
            "t_count{x=\"1\"} 4",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line} in {text}");
        }
    }

    #[test]
    fn threads_that_count_at_the_same_time_lose_nothing() {
        let number = Number::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| number.add(1.0)));
            }
        });
        assert_eq!(number.get(), 4000.0);
    }
}
