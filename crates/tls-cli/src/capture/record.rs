//! What is written down of a connection.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};
use tls_tokio::tls_core::ErrorKind;
use tls_tokio::{AlertDescription, ClientHello, Error};
use x509_parser::time::ASN1Time;

use crate::certificate::rfc3339;
use crate::describe::Facts;

/// One connection, from its ClientHello to the end of its handshake.
pub(super) struct Record<'a> {
    /// When it was accepted.
    pub(super) time: SystemTime,
    pub(super) client: SocketAddr,
    /// Where one came, and could be read.
    pub(super) hello: Option<&'a ClientHello>,
    /// Whether its bytes are wanted too.
    pub(super) raw: bool,
    pub(super) outcome: Outcome<'a>,
}

/// How the handshake ended.
pub(super) enum Outcome<'a> {
    Negotiated(Facts),
    Failed(&'a Error),
}

impl Record<'_> {
    /// As one line, with its end.
    pub(super) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_else(|error| not_written(&error));
        line.push('\n');
        line
    }

    /// As lines for people.
    pub(super) fn page(&self) -> String {
        let mut page = serde_json::to_string_pretty(self).unwrap_or_else(|error| not_written(&error));
        page.push('\n');
        page
    }
}

/// Strings and numbers can always be written; a line that says otherwise is better than none.
fn not_written(error: &serde_json::Error) -> String {
    json!({ "error": error.to_string() }).to_string()
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (negotiated, failure) = match &self.outcome {
            Outcome::Negotiated(facts) => (Some(facts.json()), None),
            Outcome::Failed(error) => (None, Some(describe(error))),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &timestamp(self.time))?;
        map.serialize_entry("client", &self.client.to_string())?;
        map.serialize_entry("client_hello", &self.hello)?;
        if self.raw {
            map.serialize_entry("raw", &self.hello.map(|hello| hex(hello.raw())))?;
        }
        map.serialize_entry("negotiated", &negotiated)?;
        map.serialize_entry("failure", &failure)?;
        map.end()
    }
}

fn describe(error: &Error) -> Value {
    let (phase, sent, received) = match error {
        Error::Tls(error) => {
            let received = match error.kind() {
                ErrorKind::AlertReceived(alert) => Some(*alert),
                _ => None,
            };
            (error.phase(), error.alert(), received)
        }
        Error::Timeout(timeout) => (Some(timeout.phase), None, None),
        _ => (None, None, None),
    };
    let alert =
        |alert: Option<AlertDescription>| alert.map(|alert| json!({"name": alert.name(), "code": alert.0}));
    json!({
        "error": error.to_string(),
        "phase": phase.map(|phase| phase.to_string()),
        "alert_sent": alert(sent),
        "alert_received": alert(received),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3339, in UTC, to the millisecond.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    // It fails beyond the year 9999.
    let whole = ASN1Time::from_timestamp(seconds).map_or_else(|_| String::new(), rfc3339);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::time::SystemTime;

    use serde_json::{Value, json};
    use tls_tokio::Error;
    use tls_tokio::tls_core::Misbehaviour;

    use super::{Outcome, Record, timestamp};

    #[test]
    fn times_are_those_of_rfc_3339() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(951_782_400_042);
        assert_eq!(timestamp(time), "2000-02-29T00:00:00.042Z");
    }

    #[test]
    fn a_failure_says_what_where_and_with_which_alert() {
        let error = Error::Tls(Misbehaviour::BadFinished.into());
        let record = Record {
            time: SystemTime::UNIX_EPOCH,
            client: "192.0.2.1:5".parse().unwrap(),
            hello: None,
            raw: true,
            outcome: Outcome::Failed(&error),
        };
        let line = record.line();
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            json!({
                "time": "1970-01-01T00:00:00.000Z",
                "client": "192.0.2.1:5",
                "client_hello": null,
                "raw": null,
                "negotiated": null,
                "failure": {
                    "error": "Finished does not verify",
                    "phase": null,
                    "alert_sent": {"name": "decrypt_error", "code": 51},
                    "alert_received": null,
                },
            })
        );
        assert_eq!(serde_json::from_str::<Value>(&record.page()).unwrap(), value);
    }
}
