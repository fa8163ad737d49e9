//! What is counted with the crate `metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tls_core::MemoryReplayGuard;
use tls_tests::both_versions;
use tls_tests::versions::Only;
use tls_tokio::{MemorySessionCache, MetricsObserver};

use super::*;

both_versions!(
    async
    a_connection_is_counted_by_what_it_agreed_on_and_how_it_ended,
    a_failed_handshake_is_counted_with_its_alert,
    what_began_and_is_over_is_no_longer_in_progress,
);

/// Keeps all metrics as numbers, by their names with the labels in their order: of a histogram how often it was told.
#[derive(Clone, Debug, Default)]
struct Kept {
    numbers: Arc<Mutex<BTreeMap<String, f64>>>,
    /// What was described, as kind and unit.
    described: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Kept {
    /// The numbers whose name begins so, without the zeros.
    fn of(&self, prefix: &str) -> Vec<(String, f64)> {
        let numbers = self.numbers.lock().unwrap();
        let matching = numbers
            .iter()
            .filter(|(name, number)| name.starts_with(prefix) && **number != 0.0);
        matching.map(|(name, number)| (name.clone(), *number)).collect()
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        Arc::new(Cell(self.clone(), format!("{} {}", key.name(), labels.join(" "))))
    }

    fn describe(&self, kind: &str, name: &KeyName, unit: Option<Unit>, description: &str) {
        assert!(!description.is_empty());
        let what = format!("{kind} {}", unit.unwrap().as_str());
        self.described
            .lock()
            .unwrap()
            .insert(name.as_str().to_owned(), what);
    }
}

struct Cell(Kept, String);

impl Cell {
    fn add(&self, number: f64) {
        let mut numbers = self.0.numbers.lock().unwrap();
        *numbers.entry(self.1.clone()).or_default() += number;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        panic!("counters only grow")
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {
        panic!("there are several connections")
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        assert!((0.0..60.0).contains(&value), "{value} are not seconds");
        self.add(1.0);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("counter", &name, unit, &description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("gauge", &name, unit, &description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("histogram", &name, unit, &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

/// A client of this version and a server that are counted.
fn counted(version: ProtocolVersion) -> (TlsConnector, TlsAcceptor) {
    let observer = Arc::new(MetricsObserver::new());
    (
        remembering(version).observer(observer.clone()),
        sides::acceptor().observer(observer),
    )
}

fn numbers(numbers: &[(&str, f64)]) -> Vec<(String, f64)> {
    numbers
        .iter()
        .map(|(name, number)| ((*name).to_owned(), *number))
        .collect()
}

async fn a_connection_is_counted_by_what_it_agreed_on_and_how_it_ended(version: ProtocolVersion) {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let (connector, acceptor) = counted(version);
    for _ in 0..2 {
        let (mut client, mut server) = established(&connector, &acceptor).await;
        assert_eq!(
            kept.of("tls_streams_open"),
            numbers(&[
                ("tls_streams_open side=client", 1.0),
                ("tls_streams_open side=server", 1.0)
            ])
        );
        greet(&mut client, &mut server).await;
        client.write_all(b"!").await.unwrap();
        client.shutdown().await.unwrap();
        server.read_to_end(&mut Vec::new()).await.unwrap();
        server.shutdown().await.unwrap();
    }
    let (suite, resumed_group) = match version {
        ProtocolVersion::TLS12 => ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "none"),
        _ => ("TLS_AES_128_GCM_SHA256", "x25519"),
    };
    let connections = |side, group, resumed| {
        let labels =
            format!("side={side} version={version} cipher_suite={suite} group={group} resumed={resumed}");
        (format!("tls_connections_total {labels}"), 1.0)
    };
    let mut expected = vec![
        connections("client", "x25519", false),
        connections("client", resumed_group, true),
        connections("server", "x25519", false),
        connections("server", resumed_group, true),
    ];
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(kept.of("tls_connections_total"), expected);
    let all = [
        (
            "tls_handshake_duration_seconds side=client outcome=established",
            2.0,
        ),
        (
            "tls_handshake_duration_seconds side=server outcome=established",
            2.0,
        ),
        ("tls_handshakes_started_total side=client", 2.0),
        ("tls_handshakes_started_total side=server", 2.0),
        ("tls_handshakes_total side=client outcome=established", 2.0),
        ("tls_handshakes_total side=server outcome=established", 2.0),
        ("tls_stream_bytes_total side=client direction=received", 10.0),
        ("tls_stream_bytes_total side=client direction=sent", 12.0),
        ("tls_stream_bytes_total side=server direction=received", 12.0),
        ("tls_stream_bytes_total side=server direction=sent", 10.0),
        ("tls_stream_duration_seconds side=client", 2.0),
        ("tls_stream_duration_seconds side=server", 2.0),
        ("tls_streams_ended_total side=client how=closed", 2.0),
        ("tls_streams_ended_total side=server how=clean", 2.0),
    ];
    let mut counted = kept.of("tls_");
    counted.retain(|(name, _)| !name.starts_with("tls_connections_total"));
    assert_eq!(counted, numbers(&all));
    // Each of them was described, and nothing else but what this connection did not have.
    let described: Vec<_> = kept.described.lock().unwrap().clone().into_iter().collect();
    let described: Vec<_> = described
        .iter()
        .map(|(name, what)| (name.as_str(), what.as_str()))
        .collect();
    assert_eq!(
        described,
        [
            ("tls_alerts_total", "counter count"),
            ("tls_connections_total", "counter count"),
            ("tls_early_data_total", "counter count"),
            ("tls_handshake_duration_seconds", "histogram seconds"),
            ("tls_handshakes_in_progress", "gauge count"),
            ("tls_handshakes_started_total", "counter count"),
            ("tls_handshakes_total", "counter count"),
            ("tls_stream_bytes_total", "counter bytes"),
            ("tls_stream_duration_seconds", "histogram seconds"),
            ("tls_streams_ended_total", "counter count"),
            ("tls_streams_open", "gauge count"),
        ]
    );
}

async fn a_failed_handshake_is_counted_with_its_alert(version: ProtocolVersion) {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let (_, acceptor) = counted(version);
    let connector = distrustful(version).observer(Arc::new(MetricsObserver::new()));
    drop(meet(&connector, &acceptor).await);
    assert_eq!(
        kept.of("tls_"),
        numbers(&[
            (
                "tls_alerts_total side=client direction=sent alert=unknown_ca",
                1.0
            ),
            (
                "tls_alerts_total side=server direction=received alert=unknown_ca",
                1.0
            ),
            ("tls_handshake_duration_seconds side=client outcome=failed", 1.0),
            ("tls_handshake_duration_seconds side=server outcome=failed", 1.0),
            ("tls_handshakes_started_total side=client", 1.0),
            ("tls_handshakes_started_total side=server", 1.0),
            ("tls_handshakes_total side=client outcome=failed", 1.0),
            ("tls_handshakes_total side=server outcome=failed", 1.0),
        ])
    );
}

async fn what_began_and_is_over_is_no_longer_in_progress(version: ProtocolVersion) {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let (connector, _) = counted(version);
    let (ours, theirs) = ends();
    let connector = connector.handshake_timeout(Some(SECOND));
    let (made, ()) = tokio::join!(connector.connect(server_name(), ours), async {
        tokio::task::yield_now().await;
        assert_eq!(
            kept.of("tls_handshakes_in_progress"),
            numbers(&[("tls_handshakes_in_progress side=client", 1.0)])
        );
        assert_eq!(kept.of("tls_handshakes_total"), []);
    });
    made.expect_err("nobody answers");
    drop(theirs);
    assert_eq!(kept.of("tls_handshakes_in_progress"), []);
    assert_eq!(
        kept.of("tls_handshakes_total"),
        numbers(&[("tls_handshakes_total side=client outcome=timed_out", 1.0)])
    );
}

#[tokio::test]
async fn early_data_is_counted_by_whether_it_was_accepted() {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let cache = Arc::new(MemorySessionCache::default());
    let client = sides::client_builder()
        .only(ProtocolVersion::TLS13)
        .session_cache(cache);
    let connector = TlsConnector::new(client.build().unwrap()).observer(Arc::new(MetricsObserver::new()));
    let guard = Arc::new(MemoryReplayGuard::default().with_new_keys());
    let server = sides::server_builder().max_early_data(100).replay_guard(guard);
    let acceptor = TlsAcceptor::new(server.build().unwrap()).observer(Arc::new(MetricsObserver::new()));
    let (mut client, mut server) = established(&connector, &acceptor).await;
    greet(&mut client, &mut server).await;
    assert_eq!(kept.of("tls_early_data_total"), []);
    let (ours, theirs) = ends();
    let (client, server) = tokio::join!(
        async {
            connector
                .connect_early(server_name(), ours, b"early")
                .await
                .unwrap()
                .0
        },
        async {
            let mut early = acceptor.accept_early(theirs).await.unwrap();
            early.read_exact(&mut [0; 5]).await.unwrap();
            early.finish().await.unwrap()
        }
    );
    assert_eq!(
        kept.of("tls_early_data_total"),
        numbers(&[
            ("tls_early_data_total side=client result=accepted", 1.0),
            ("tls_early_data_total side=server result=accepted", 1.0),
        ])
    );
    // It counts as data.
    let before = kept.of("tls_stream_bytes_total");
    assert_eq!(before, []);
    drop((client, server));
    assert_eq!(
        kept.of("tls_stream_bytes_total"),
        numbers(&[
            ("tls_stream_bytes_total side=client direction=sent", 5.0),
            ("tls_stream_bytes_total side=server direction=received", 5.0),
        ])
    );
}
