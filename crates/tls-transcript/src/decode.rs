//! The records of a connection, opened with the secrets of a key log.

use tls_core::{AlertDescription, ContentType, ExtensionType, ProtocolVersion};

use super::fields::{Field, fields, has_extension, is_retry, shown};
use super::keys::{Opener, Suite};
use super::{Event, Secret, What};

/// A record, as it came to be complete.
///
/// ```
/// use tls_transcript::decode::{Protection, decode};
/// use tls_transcript::{Event, What};
///
/// // A handshake_failure, in plain.
/// let events = [Event { from_client: false, what: What::Bytes(vec![21, 3, 3, 0, 2, 2, 40]) }];
/// let records = decode(&events, &[]);
/// assert_eq!((records.len(), records[0].protection), (1, Protection::None));
/// assert!(records[0].messages.is_empty(), "an alert is no handshake message");
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    /// The event that has its last byte.
    pub event: usize,
    /// Who sent it.
    pub from_client: bool,
    /// Where it begins in the bytes of its sender.
    pub start: usize,
    /// Its bytes on the wire, header included.
    pub len: usize,
    /// What it carries: inside, where it was opened.
    pub content_type: ContentType,
    /// The version in its header.
    pub version: ProtocolVersion,
    /// Whether, and how, it is protected.
    pub protection: Protection,
    /// The content, without padding; the ciphertext where it could not be opened.
    pub content: Vec<u8>,
    /// Padding of TLS 1.3.
    pub padding: usize,
    /// The handshake messages that end in it.
    pub messages: Vec<Message>,
    /// Whether a handshake message goes on in the next record.
    pub goes_on: bool,
}

/// How a record is protected.
///
/// Example: that of [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    None,
    /// Opened with this kind of key.
    Opened(&'static str),
    /// With a key that no secret gives.
    Closed,
}

/// A handshake message.
///
/// Example: that of [`Record`].
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it begins in the content of its record; before it, if it began in an earlier one.
    pub start: isize,
    /// Header and body.
    pub bytes: Vec<u8>,
    /// Its parts.
    pub fields: Vec<Field>,
}

impl Record {
    /// What people read: a line for the record, and one for each field of its messages.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let protection = match self.protection {
            Protection::None => String::new(),
            Protection::Opened(key) => format!(", opened with the {key} key"),
            Protection::Closed => ", sealed with a key that this side did not have".to_owned(),
        };
        let padding = match self.padding {
            0 => String::new(),
            bytes => format!(", {bytes} bytes of padding"),
        };
        let (kind, len) = (self.content_type, self.content.len());
        let mut lines = vec![format!("{kind}, {len} bytes{padding}{protection}")];
        if self.protection == Protection::Closed {
            return lines;
        }
        match (self.content_type, &self.content[..]) {
            (ContentType::ALERT, [level, description]) => {
                let level = ["warning", "fatal"].get(usize::from(*level).wrapping_sub(1));
                let description = AlertDescription(*description);
                lines.push(format!("  {} {description}", level.unwrap_or(&"unknown level")));
            }
            (ContentType::APPLICATION_DATA, text)
                if text.iter().all(|b| (0x20..0x7f).contains(b) || *b == b'\n') =>
            {
                let text = String::from_utf8_lossy(text);
                let shown: String = text.chars().take(60).collect();
                lines.push(format!("  {shown:?}"));
            }
            (ContentType::APPLICATION_DATA, bytes) => lines.push(format!("  {}", shown(bytes))),
            _ => {}
        }
        for field in self.messages.iter().flat_map(|message| &message.fields) {
            let indent = "  ".repeat(field.depth + 1);
            lines.push(format!("{indent}{}: {}", field.name, field.value));
        }
        if self.goes_on {
            lines.push("  a message that goes on in the next record".to_owned());
        }
        // Names come from a peer: none of them makes two lines of one, or speaks to a terminal.
        lines.iter().map(|line| harmless(line)).collect()
    }

    /// Where in the content this byte lies: the message and its deepest field.
    #[must_use]
    pub fn place(&self, at: usize) -> String {
        let found = self.messages.iter().find_map(|message| {
            let at = usize::try_from(isize::try_from(at).ok()? - message.start).ok()?;
            (at < message.bytes.len()).then_some((message, at))
        });
        let Some((message, at)) = found else {
            return format!("byte {at} of a record of type {}", self.content_type);
        };
        let name = message.fields.first().map_or("a message", |field| &field.name);
        let inside = |field: &&Field| (field.start..field.end).contains(&at);
        match message
            .fields
            .iter()
            .filter(inside)
            .max_by_key(|field| field.depth)
        {
            Some(field) if field.start == 0 => format!("byte {at} of {name}, in its header"),
            Some(field) => {
                let mut above = message
                    .fields
                    .iter()
                    .filter(|other| other.depth + 1 == field.depth);
                let above = above.rfind(|other| other.start <= field.start && field.depth > 1);
                let above = above.map_or_else(String::new, |above| format!("{}, ", above.name));
                format!("byte {at} of {name}, in {above}{}", field.name)
            }
            None => format!("byte {at} of {name}"),
        }
    }
}

fn harmless(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c.is_control() {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

/// The records of a connection, in the order in which they were complete.
///
/// Keys are taken in the order in which the protocol has them; each is kept until a record needs the next one. Where
/// nothing opens a record it is left as it is.
#[must_use]
pub fn decode(events: &[Event], secrets: &[Secret]) -> Vec<Record> {
    let mut decoder = Decoder {
        secrets,
        client_random: Vec::new(),
        suite: chosen_suite(events),
        is_tls13: false,
        client: Side::new(),
        server: Side::new(),
    };
    decoder.is_tls13 = matches!(decoder.suite, Some((_, code, _)) if code >> 8 == 0x13);
    let mut records = Vec::new();
    for (event, Event { from_client, what }) in events.iter().enumerate() {
        if let What::Bytes(bytes) = what {
            decoder.side(*from_client).pending.extend_from_slice(bytes);
            while let Some(record) = decoder.next(*from_client, event) {
                records.push(record);
            }
        }
    }
    records
}

/// The suite and the server's random, from the ServerHello or HelloRetryRequest: the first thing that a server sends in
/// plain, and what even early data before it is (most likely) sealed with.
fn chosen_suite(events: &[Event]) -> Option<(Suite, u16, Vec<u8>)> {
    let from_server = events.iter().filter(|event| !event.from_client);
    let bytes: Vec<u8> = from_server
        .filter_map(|event| match &event.what {
            What::Bytes(bytes) => Some(&bytes[..]),
            What::End | What::Reset => None,
        })
        .collect::<Vec<_>>()
        .concat();
    let body = bytes
        .get(9..)
        .filter(|_| bytes.first() == Some(&22) && bytes.get(5) == Some(&2))?;
    let session_id = usize::from(*body.get(34)?);
    let code = body.get(35 + session_id..37 + session_id)?;
    let code = u16::from_be_bytes(code.try_into().ok()?);
    Some((Suite::new(code)?, code, body.get(2..34)?.to_vec()))
}

/// Bytes in front of each record.
const HEADER: usize = 5;

struct Decoder<'a> {
    secrets: &'a [Secret],
    client_random: Vec<u8>,
    suite: Option<(Suite, u16, Vec<u8>)>,
    is_tls13: bool,
    client: Side,
    server: Side,
}

struct Side {
    pending: Vec<u8>,
    done: usize,
    /// In the order of their use; the first is in force, unless `protected` is still false.
    keys: Vec<(&'static str, Opener)>,
    has_keys: bool,
    /// TLS 1.2: change_cipher_spec has come.
    protected: bool,
    /// A message that is not complete.
    message: Vec<u8>,
}

impl Side {
    const fn new() -> Self {
        Self {
            pending: Vec::new(),
            done: 0,
            keys: Vec::new(),
            has_keys: false,
            protected: false,
            message: Vec::new(),
        }
    }
}

impl Decoder<'_> {
    fn side(&mut self, client: bool) -> &mut Side {
        match client {
            true => &mut self.client,
            false => &mut self.server,
        }
    }

    fn next(&mut self, from_client: bool, event: usize) -> Option<Record> {
        let side = self.side(from_client);
        let [kind, major, minor, high, low] = *side.pending.first_chunk::<HEADER>()?;
        let len = HEADER + usize::from(u16::from_be_bytes([high, low]));
        let bytes = side.pending.get(..len)?.to_vec();
        side.pending.drain(..len);
        let start = side.done;
        side.done += len;
        let mut record = Record {
            event,
            from_client,
            start,
            len,
            content_type: ContentType(kind),
            version: ProtocolVersion(u16::from_be_bytes([major, minor])),
            protection: Protection::None,
            content: bytes.get(HEADER..)?.to_vec(),
            padding: 0,
            messages: Vec::new(),
            goes_on: false,
        };
        let is_protected = match self.is_tls13 || !self.client_random.is_empty() && kind == 23 {
            true => kind == 23,
            false => self.side(from_client).protected,
        };
        if is_protected {
            self.open(&mut record, &bytes);
        }
        if kind == 20 && !self.is_tls13 {
            self.side(from_client).protected = true;
        }
        if record.content_type == ContentType::HANDSHAKE && record.protection != Protection::Closed {
            self.messages(&mut record);
        }
        Some(record)
    }

    fn open(&mut self, record: &mut Record, bytes: &[u8]) {
        self.make_keys(record.from_client);
        let is_tls13 = self.is_tls13;
        let side = self.side(record.from_client);
        record.protection = Protection::Closed;
        // The next key may be that after a KeyUpdate.
        if let [(_, last)] = &side.keys[..]
            && let Some(next) = last.updated()
        {
            side.keys.push(("next application", next));
        }
        let opened = side
            .keys
            .iter_mut()
            .enumerate()
            .find_map(|(place, (name, key))| Some((place, *name, key.open(bytes)?)));
        let Some((place, name, mut content)) = opened else {
            return;
        };
        side.keys.drain(..place);
        record.protection = Protection::Opened(name);
        if is_tls13 {
            let end = content.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            record.padding = content.len().saturating_sub(end + 1);
            record.content_type = ContentType(content.get(end).copied().unwrap_or(0));
            content.truncate(end);
        }
        record.content = content;
    }

    fn make_keys(&mut self, client: bool) {
        if core::mem::replace(&mut self.side(client).has_keys, true) {
            return;
        }
        let Some((suite, _, server_random)) = self.suite.clone() else {
            self.side(client).has_keys = false;
            return;
        };
        let secret = |label: &str| {
            let ours = |secret: &&Secret| secret.label == label && secret.client_random == self.client_random;
            self.secrets.iter().find(ours).map(|secret| &secret.secret[..])
        };
        let keys = if self.is_tls13 {
            let labels = match client {
                true => [
                    ("CLIENT_EARLY_TRAFFIC_SECRET", "early"),
                    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "handshake"),
                    ("CLIENT_TRAFFIC_SECRET_0", "application"),
                ],
                false => [
                    ("", ""),
                    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "handshake"),
                    ("SERVER_TRAFFIC_SECRET_0", "application"),
                ],
            };
            let keys = labels
                .iter()
                .filter_map(|(label, name)| Some((*name, Opener::tls13(suite, secret(label)?)?)));
            keys.collect()
        } else {
            let main = secret("CLIENT_RANDOM");
            let keys = main.map(|main| Opener::tls12(suite, main, &self.client_random, &server_random));
            let key = keys
                .flatten()
                .map(|[of_client, of_server]| if client { of_client } else { of_server });
            key.map(|key| ("connection's", key)).into_iter().collect()
        };
        self.side(client).keys = keys;
    }

    fn messages(&mut self, record: &mut Record) {
        let is_tls13 = self.is_tls13;
        let side = self.side(record.from_client);
        let mut start = -isize::try_from(side.message.len()).unwrap_or(0);
        side.message.extend_from_slice(&record.content);
        let mut random = None;
        loop {
            let side = self.side(record.from_client);
            let [_, high, middle, low, ..] = side.message[..] else {
                break;
            };
            let len = 4 + usize::from(u16::from_be_bytes([middle, low])) + (usize::from(high) << 16);
            let Some(bytes) = side.message.get(..len).map(<[u8]>::to_vec) else {
                break;
            };
            side.message.drain(..len);
            if bytes.first() == Some(&1) && record.protection == Protection::None {
                random = bytes.get(6..38).map(<[u8]>::to_vec);
            }
            let fields = fields(&bytes, is_tls13);
            record.messages.push(Message { start, bytes, fields });
            start += isize::try_from(len).unwrap_or(0);
        }
        record.goes_on = !self.side(record.from_client).message.is_empty();
        if let Some(random) = random {
            self.client_random = random;
        }
    }
}

/// Whether the client offered early data that the server did not accept, by the messages of both.
#[must_use]
pub fn early_data_was_rejected(records: &[Record]) -> bool {
    let messages = || records.iter().flat_map(|record| &record.messages);
    let has = |kind: u8| {
        messages()
            .any(|m| m.bytes.first() == Some(&kind) && has_extension(&m.fields, ExtensionType::EARLY_DATA))
    };
    (has(1) && !has(8)) || has(1) && messages().any(|message| is_retry(&message.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_make_a_line_of_its_own() {
        let name = b"a\n-- end\x1b[31m";
        let mut extension = vec![
            0,
            0,
            0,
            5 + name.len() as u8,
            0,
            3 + name.len() as u8,
            0,
            0,
            name.len() as u8,
        ];
        extension.extend(name);
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0, 0, extension.len() as u8]);
        body.extend(extension);
        let mut record = vec![22, 3, 1, 0, 4 + body.len() as u8, 1, 0, 0, body.len() as u8];
        record.extend(body);
        let event = Event {
            from_client: true,
            what: What::Bytes(record),
        };
        let lines = decode(&[event], &[])[0].lines();
        assert!(
            lines.iter().all(|line| !line.contains(char::is_control)),
            "{lines:?}"
        );
        assert!(lines.iter().any(|line| line.contains(r"a\n-- end")), "{lines:?}");
    }

    #[test]
    fn half_a_record_waits_for_its_rest() {
        let of = |bytes: &[u8]| Event {
            from_client: false,
            what: What::Bytes(bytes.to_vec()),
        };
        let events = [of(&[21, 3, 3, 0]), of(&[2, 2]), of(&[40, 21])];
        let records = decode(&events, &[]);
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].event, records[0].start, records[0].len), (2, 0, 7));
        assert_eq!(
            records[0].lines(),
            ["alert, 2 bytes", "  fatal handshake_failure"]
        );
    }
}
