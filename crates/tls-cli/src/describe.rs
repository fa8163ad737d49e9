//! What was negotiated, as text and as JSON.

use core::time::Duration;

use serde_json::{Map, Value, json};
use tls_tokio::EarlyData;
use tls_tokio::tls_core::Negotiated;

use crate::certificate::Description;

/// What a handshake agreed on, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) cipher_suite: String,
    pub(crate) group: String,
    pub(crate) signature_scheme: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) resumed: bool,
    pub(crate) hello_retry_request: bool,
    /// What became of early data, if some was offered.
    pub(crate) early_data: Option<&'static str>,
    pub(crate) handshake: Duration,
    /// On a server: the subject of the client's certificate, if it presented one.
    pub(crate) client: Option<String>,
}

impl Facts {
    /// Of a handshake that took so long.
    pub(crate) fn of(info: &Negotiated, handshake: Duration) -> Self {
        Self {
            version: info.version().to_string(),
            cipher_suite: info.cipher_suite().to_string(),
            group: info
                .group()
                .map_or_else(|| "none (resumed)".into(), |group| group.to_string()),
            signature_scheme: info.signature_scheme().map(|scheme| scheme.to_string()),
            alpn: info.alpn().map(protocol),
            server_name: info.server_name().map(str::to_owned),
            resumed: info.is_resumed(),
            hello_retry_request: info.had_hello_retry_request(),
            early_data: match info.early_data() {
                EarlyData::NotOffered => None,
                EarlyData::Accepted => Some("accepted"),
                _ => Some("rejected"),
            },
            handshake,
            client: None,
        }
    }

    /// The same on a server, whose peer is the client.
    pub(crate) fn on_server(info: &Negotiated, handshake: Duration) -> Self {
        let certificate = info.peer_certificates().first();
        let subject = |der| {
            Description::of(der)
                .map_or_else(|| "(cannot be parsed)".to_owned(), |described| described.subject)
        };
        Self {
            client: certificate.map(subject),
            ..Self::of(info, handshake)
        }
    }

    /// One line for a log.
    pub(crate) fn summary(&self) -> String {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let client = self.client.as_ref();
        let client = client.map_or_else(String::new, |client| format!(", client {client}"));
        format!(
            "{} {} {}, name {}, alpn {}, {} handshake {}{}{client}",
            self.version,
            self.cipher_suite,
            self.group,
            or_none(&self.server_name),
            or_none(&self.alpn),
            if self.resumed { "resumed" } else { "full" },
            Milliseconds(self.handshake),
            self.early_data
                .map(|what| format!(", early data {what}"))
                .unwrap_or_default(),
        )
    }

    /// Everything, as pairs of label and value.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
        let or = |value: &Option<String>, without: &str| value.clone().unwrap_or_else(|| without.to_owned());
        let mut rows = vec![
            ("version", self.version.clone()),
            ("cipher suite", self.cipher_suite.clone()),
            ("group", self.group.clone()),
            ("signature scheme", or(&self.signature_scheme, "none (resumed)")),
            ("application protocol", or(&self.alpn, "none")),
            ("server name", or(&self.server_name, "none")),
            ("resumed", yes_no(self.resumed)),
            ("HelloRetryRequest", yes_no(self.hello_retry_request)),
            ("early data", self.early_data.unwrap_or("none").to_owned()),
            ("handshake", Milliseconds(self.handshake).to_string()),
        ];
        rows.extend(self.client.clone().map(|client| ("client certificate", client)));
        rows
    }

    /// Everything, as the members of a JSON object. What there is not is null, but for a client's certificate.
    pub(crate) fn json(&self) -> Map<String, Value> {
        let members = [
            ("version", json!(self.version)),
            ("cipher_suite", json!(self.cipher_suite)),
            ("group", json!(self.group)),
            ("signature_scheme", json!(self.signature_scheme)),
            ("alpn", json!(self.alpn)),
            ("server_name", json!(self.server_name)),
            ("resumed", json!(self.resumed)),
            ("hello_retry_request", json!(self.hello_retry_request)),
            ("early_data", json!(self.early_data)),
            ("handshake_ms", milliseconds(self.handshake)),
        ];
        let client = self.client.as_ref();
        members
            .into_iter()
            .chain(client.map(|client| ("client_certificate", json!(client))))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// A protocol name is bytes; nearly all are ASCII.
fn protocol(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

/// A duration as a JSON number of milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// Shows a duration as `1.234 ms`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Milliseconds(pub(crate) Duration);

impl core::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:.3} ms", self.0.as_secs_f64() * 1e3)
    }
}
