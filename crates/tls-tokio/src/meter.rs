//! An observer that counts with the crate `metrics`.

use core::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tls_core::{AlertDescription, EarlyData, Side};

use crate::observer::{EndKind, HandshakeFailed, HandshakeFinished, Observed, Observer, StreamEnd};

/// Names with their units at the end, as Prometheus likes them.
mod name {
    pub(super) const STARTED: &str = "tls_handshakes_started_total";
    pub(super) const HANDSHAKES: &str = "tls_handshakes_total";
    pub(super) const CONNECTIONS: &str = "tls_connections_total";
    pub(super) const IN_PROGRESS: &str = "tls_handshakes_in_progress";
    pub(super) const HANDSHAKE_TIME: &str = "tls_handshake_duration_seconds";
    pub(super) const EARLY_DATA: &str = "tls_early_data_total";
    pub(super) const ALERTS: &str = "tls_alerts_total";
    pub(super) const OPEN: &str = "tls_streams_open";
    pub(super) const ENDED: &str = "tls_streams_ended_total";
    pub(super) const STREAM_TIME: &str = "tls_stream_duration_seconds";
    pub(super) const BYTES: &str = "tls_stream_bytes_total";
}

/// An [`Observer`] that counts with the crate [`metrics`], in whatever recorder the program has installed there. Needs the
/// feature `metrics`.
///
/// | name | kind | unit | labels |
/// | --- | --- | --- | --- |
/// | `tls_handshakes_started_total` | counter | handshakes | `side` |
/// | `tls_handshakes_in_progress` | gauge | handshakes | `side` |
/// | `tls_handshakes_total` | counter | handshakes that are over | `side`, `outcome`: `established` or a [`Reason::name`](crate::Reason::name) |
/// | `tls_handshake_duration_seconds` | histogram | seconds | `side`, `outcome` |
/// | `tls_connections_total` | counter | handshakes that succeeded | `side`, `version`, `cipher_suite`, `group`, `resumed` |
/// | `tls_early_data_total` | counter | handshakes that succeeded, whose client sent early data | `side`, `result`: `accepted` or `rejected` |
/// | `tls_alerts_total` | counter | alerts that ended a handshake or a stream | `side`, `direction`: `sent` or `received`; `alert` |
/// | `tls_streams_open` | gauge | streams | `side` |
/// | `tls_streams_ended_total` | counter | streams | `side`, `how`: an [`EndKind::name`](crate::EndKind::name) |
/// | `tls_stream_duration_seconds` | histogram | seconds from the end of the handshake | `side` |
/// | `tls_stream_bytes_total` | counter | bytes of data, counted when the stream ends | `side`, `direction`: `received` or `sent` |
///
/// The labels have few values, whatever peers do: `side` is `client` or `server`; versions, suites, groups and alerts have
/// their registered names, and are `other` where this library knows none, or `none` where there is no key exchange. No
/// label has a name or address of a peer.
///
/// The recorder should be installed before [`Self::new`], which describes the metrics to it. It is called where things
/// happen, with a few lookups per handshake and stream, and none for their data.
///
/// ```
/// use std::sync::Arc;
///
/// use tls_tokio::{MetricsObserver, TlsAcceptor};
///
/// # fn example(acceptor: TlsAcceptor) {
/// // After the recorder, for example that of metrics-exporter-prometheus, was installed.
/// let acceptor = acceptor.observer(Arc::new(MetricsObserver::new()));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MetricsObserver;

impl MetricsObserver {
    /// Describes the metrics to the recorder that is installed.
    #[must_use]
    pub fn new() -> Self {
        let count = Unit::Count;
        describe_counter!(name::STARTED, count, "TLS handshakes that began");
        describe_counter!(name::HANDSHAKES, count, "TLS handshakes that are over");
        describe_counter!(name::CONNECTIONS, count, "TLS handshakes that succeeded");
        describe_gauge!(name::IN_PROGRESS, count, "TLS handshakes under way");
        describe_histogram!(
            name::HANDSHAKE_TIME,
            Unit::Seconds,
            "How long TLS handshakes took"
        );
        describe_counter!(
            name::EARLY_DATA,
            count,
            "TLS handshakes that succeeded, whose client sent early data"
        );
        describe_counter!(name::ALERTS, count, "Alerts that ended a TLS handshake or stream");
        describe_gauge!(name::OPEN, count, "TLS streams that are open");
        describe_counter!(name::ENDED, count, "TLS streams that ended");
        describe_histogram!(name::STREAM_TIME, Unit::Seconds, "How long TLS streams lasted");
        describe_counter!(name::BYTES, Unit::Bytes, "Data of TLS streams that ended");
        Self
    }
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for MetricsObserver {
    fn handshake_started(&self, connection: &Observed<'_>) {
        let side = side(connection);
        counter!(name::STARTED, "side" => side).increment(1);
        gauge!(name::IN_PROGRESS, "side" => side).increment(1);
    }

    fn handshake_finished(&self, connection: &Observed<'_>, finished: &HandshakeFinished<'_>) {
        let side = side(connection);
        handshake_over(side, "established", finished.elapsed);
        let info = finished.info;
        counter!(
            name::CONNECTIONS,
            "side" => side,
            "version" => info.version().name().unwrap_or("other"),
            "cipher_suite" => info.cipher_suite().name().unwrap_or("other"),
            "group" => info.group().map_or("none", |group| group.name().unwrap_or("other")),
            "resumed" => if info.is_resumed() { "true" } else { "false" },
        )
        .increment(1);
        let early_data = match info.early_data() {
            EarlyData::Accepted => Some("accepted"),
            EarlyData::Rejected => Some("rejected"),
            _ => None,
        };
        if let Some(result) = early_data {
            counter!(name::EARLY_DATA, "side" => side, "result" => result).increment(1);
        }
        gauge!(name::OPEN, "side" => side).increment(1);
    }

    fn handshake_failed(&self, connection: &Observed<'_>, failed: &HandshakeFailed<'_>) {
        let side = side(connection);
        alert(side, "sent", failed.alert_sent);
        alert(side, "received", failed.alert_received());
        handshake_over(side, failed.reason.name(), failed.elapsed);
    }

    fn stream_ended(&self, connection: &Observed<'_>, end: &StreamEnd<'_>) {
        let side = side(connection);
        counter!(name::ENDED, "side" => side, "how" => end.how.name()).increment(1);
        histogram!(name::STREAM_TIME, "side" => side).record(end.duration);
        counter!(name::BYTES, "side" => side, "direction" => "received").increment(end.bytes_in);
        counter!(name::BYTES, "side" => side, "direction" => "sent").increment(end.bytes_out);
        let direction = match end.how {
            EndKind::AlertReceived(_) => "received",
            _ => "sent",
        };
        alert(side, direction, end.how.alert());
        // Last: who sees that it is open no longer sees the rest of it too.
        gauge!(name::OPEN, "side" => side).decrement(1);
    }
}

const fn side(connection: &Observed<'_>) -> &'static str {
    match connection.side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn handshake_over(side: &'static str, outcome: &'static str, elapsed: Duration) {
    counter!(name::HANDSHAKES, "side" => side, "outcome" => outcome).increment(1);
    histogram!(name::HANDSHAKE_TIME, "side" => side, "outcome" => outcome).record(elapsed);
    gauge!(name::IN_PROGRESS, "side" => side).decrement(1);
}

fn alert(side: &'static str, direction: &'static str, alert: Option<AlertDescription>) {
    if let Some(alert) = alert {
        let alert = alert.name().unwrap_or("other");
        counter!(name::ALERTS, "side" => side, "direction" => direction, "alert" => alert).increment(1);
    }
}
