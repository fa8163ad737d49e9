//! What a recorded peer says, cut into units (a handshake message, or the content of another record) that can be changed
//! and sealed again with the recorded keys.

use super::edits::Edit;
use crate::transcript::decode::{Protection, Record, decode};
use crate::transcript::keys::{Opener, Suite};
use crate::transcript::{Event, Secret, What};

const HANDSHAKE: u8 = 22;
/// The longest plaintext of a record.
const MAX_FRAGMENT: usize = 1 << 14;
/// How many KeyUpdates there may be in one direction.
const MAX_UPDATES: usize = 4;

/// All that one side says on a connection.
#[derive(Clone)]
pub(super) struct Said {
    units: Vec<Unit>,
    traffic: Option<Traffic>,
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    content_type: u8,
    content: Vec<u8>,
    padding: usize,
    seal: Seal,
    /// Whether it shares a record with the one before.
    joined: bool,
    /// How much of it goes into one record.
    fragment: usize,
}

/// How a unit is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seal {
    Plain,
    /// With the key of this number.
    With(usize),
    /// A whole record that nobody could open.
    AsItIs,
}

/// Of what the keys of one direction are made.
#[derive(Clone)]
enum Traffic {
    Tls13(Suite, Vec<Vec<u8>>),
    Tls12 {
        suite: Suite,
        main_secret: Vec<u8>,
        client_random: Vec<u8>,
        server_random: Vec<u8>,
        from_client: bool,
    },
}

impl Said {
    /// What this side says on a connection with these secrets.
    pub(super) fn read(events: &[Event], secrets: &[Secret], from_client: bool) -> Self {
        let records = decode(events, secrets);
        let traffic = Traffic::of(&records, secrets, from_client);
        let mut keys = traffic.as_ref().map(Traffic::keys).unwrap_or_default();
        let bytes = bytes_of(events, from_client);
        let (mut units, mut current) = (Vec::new(), 0);
        for record in records.iter().filter(|record| record.from_client == from_client) {
            let whole = &bytes[record.start..record.start + record.len];
            let seal = match record.protection {
                Protection::None => Seal::Plain,
                Protection::Closed => Seal::AsItIs,
                Protection::Opened(name) => {
                    let mut later = keys.iter_mut().enumerate().skip(current);
                    let found = later.find_map(|(number, key)| key.open(whole).map(|_| number));
                    current = found.unwrap_or_else(|| panic!("the {name} key is not there any more"));
                    Seal::With(current)
                }
            };
            let unit = |content: &[u8], joined| Unit {
                content_type: record.content_type.0,
                content: content.to_vec(),
                padding: record.padding,
                seal,
                joined,
                fragment: MAX_FRAGMENT,
            };
            if seal == Seal::AsItIs {
                units.push(unit(whole, false));
            } else if record.content_type.0 == HANDSHAKE {
                for (number, message) in record.messages.iter().enumerate() {
                    units.push(unit(&message.bytes, number > 0));
                }
            } else {
                units.push(unit(&record.content, false));
            }
        }
        Self { units, traffic }
    }

    /// The bytes of each unit.
    pub(super) fn lens(&self) -> impl Iterator<Item = usize> {
        self.units.iter().map(|unit| unit.content.len())
    }

    /// All handshake messages.
    pub(super) fn handshake(&self) -> Vec<u8> {
        let messages = self
            .units
            .iter()
            .filter(|unit| unit.content_type == HANDSHAKE && unit.seal != Seal::AsItIs);
        messages.flat_map(|unit| unit.content.clone()).collect()
    }

    /// Those up to the first Finished.
    pub(super) fn handshake_to_finished(&self) -> Vec<u8> {
        let is_finished = |unit: &Unit| unit.content_type == HANDSHAKE && unit.content.first() == Some(&20);
        let end = self
            .units
            .iter()
            .position(is_finished)
            .map_or(self.units.len(), |at| at + 1);
        let units = self.units[..end].to_vec();
        Self { units, traffic: None }.handshake()
    }

    /// What is said after these edits, and the bytes for the wire; without the first where those were changed on the wire.
    pub(super) fn edited(&self, edits: &[Edit<'_>]) -> (Option<Self>, Vec<u8>) {
        let mut changed = self.clone();
        let on_wire = |edit: &&Edit<'_>| edit.what & ON_THE_WIRE != 0;
        for edit in edits.iter().filter(|edit| !on_wire(edit)) {
            changed.change(edit);
        }
        let mut wire = changed.sealed();
        let mut is_whole = true;
        for edit in edits.iter().filter(on_wire) {
            edit.apply(&mut wire);
            is_whole = false;
        }
        (is_whole.then_some(changed), wire)
    }

    fn change(&mut self, edit: &Edit<'_>) {
        let count = self.units.len();
        let Some(number) = usize::from(edit.which).checked_rem(count) else {
            return;
        };
        let unit = &mut self.units[number];
        let piece = edit.piece.first().copied();
        match edit.what {
            what if what & ON_THE_WHOLE == 0 => {
                edit.apply(&mut unit.content);
                let is_message = unit.content_type == HANDSHAKE && unit.seal != Seal::AsItIs;
                if is_message && what & LENGTH_AS_IT_IS == 0 && unit.content.len() >= 4 {
                    let len = u32::try_from(unit.content.len() - 4).unwrap_or(0).to_be_bytes();
                    unit.content[1..4].copy_from_slice(&len[1..]);
                }
            }
            what => match what & 0xf {
                0 => drop(self.units.remove(number)),
                1 => {
                    let same = unit.clone();
                    self.units.insert(number, same);
                }
                2 => self.units.swap(number, (number + 1) % count),
                3 => unit.joined = !unit.joined,
                4 => unit.content_type = piece.unwrap_or(0),
                5 => unit.padding = edit.piece.len() * 64,
                6 => unit.seal = Seal::Plain,
                7 => {
                    let (content_type, content) = (
                        piece.unwrap_or(HANDSHAKE),
                        edit.piece.get(1..).unwrap_or_default().to_vec(),
                    );
                    let new = Unit {
                        content_type,
                        content,
                        ..unit.clone()
                    };
                    self.units.insert(number, new);
                }
                8 => unit.fragment = usize::from(piece.unwrap_or(0)) + 1,
                9 => unit.fragment = usize::from(u16::MAX),
                10 => unit.content.resize(usize::from(piece.unwrap_or(0)) << 8, 0),
                _ => {}
            },
        }
    }

    /// The bytes for the wire.
    fn sealed(&self) -> Vec<u8> {
        let mut keys = self.traffic.as_ref().map(Traffic::keys).unwrap_or_default();
        let mut wire = Vec::new();
        let mut units = &self.units[..];
        while let [first, rest @ ..] = units {
            let fits = |unit: &&Unit| {
                unit.joined && (unit.seal, unit.content_type) == (first.seal, first.content_type)
            };
            let with = rest.iter().take_while(fits).count();
            let content: Vec<u8> = units[..=with]
                .iter()
                .flat_map(|unit| unit.content.clone())
                .collect();
            units = &units[with + 1..];
            if first.seal == Seal::AsItIs {
                wire.extend(content);
                continue;
            }
            let mut rest = &content[..];
            loop {
                let (fragment, left) = rest.split_at(rest.len().min(first.fragment));
                wire.extend(record(first, fragment, &mut keys));
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
        }
        wire
    }
}

/// [`Edit::what`]: the record's bytes are changed once it is sealed.
pub(super) const ON_THE_WIRE: u8 = 0x20;
/// The unit is dropped, doubled, and the like.
pub(super) const ON_THE_WHOLE: u8 = 0x80;
/// The length of a message that was changed is left wrong.
pub(super) const LENGTH_AS_IT_IS: u8 = 0x40;

fn record(unit: &Unit, content: &[u8], keys: &mut [Opener]) -> Vec<u8> {
    let key = match unit.seal {
        Seal::With(number) => keys.get_mut(number),
        Seal::Plain | Seal::AsItIs => None,
    };
    match key {
        Some(key) => key
            .seal(unit.content_type, content, unit.padding)
            .unwrap_or_default(),
        None => {
            let len = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
            [&[unit.content_type, 3, 3], &len[..], content].concat()
        }
    }
}

impl Traffic {
    /// `None` where no keys were made, or none of a suite that is known.
    fn of(records: &[Record], secrets: &[Secret], from_client: bool) -> Option<Self> {
        let mut messages = records.iter().flat_map(|record| &record.messages);
        let mut of_type = |wanted: u8| messages.find(|message| message.bytes.first() == Some(&wanted));
        let client_random = of_type(1)?.bytes.get(6..38)?.to_vec();
        let server_hello = &of_type(2)?.bytes;
        let server_random = server_hello.get(6..38)?.to_vec();
        let code = 39 + usize::from(*server_hello.get(38)?);
        let code = u16::from_be_bytes(server_hello.get(code..code + 2)?.try_into().ok()?);
        let suite = Suite::new(code)?;
        let secret = |label: &str| {
            let found = secrets
                .iter()
                .find(|secret| secret.label == label && secret.client_random == client_random);
            found.map(|secret| secret.secret.clone())
        };
        if code >> 8 != 0x13 {
            let main_secret = secret("CLIENT_RANDOM")?;
            return Some(Self::Tls12 {
                suite,
                main_secret,
                client_random,
                server_random,
                from_client,
            });
        }
        let labels = match from_client {
            true => [
                "CLIENT_EARLY_TRAFFIC_SECRET",
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                "CLIENT_TRAFFIC_SECRET_0",
            ],
            false => ["", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"],
        };
        Some(Self::Tls13(
            suite,
            labels.into_iter().filter_map(secret).collect(),
        ))
    }

    /// In the order of their use.
    fn keys(&self) -> Vec<Opener> {
        match self {
            Self::Tls13(suite, secrets) => {
                let mut keys: Vec<Opener> = secrets
                    .iter()
                    .filter_map(|secret| Opener::tls13(*suite, secret))
                    .collect();
                for _ in 0..MAX_UPDATES {
                    keys.extend(keys.last().and_then(Opener::updated));
                }
                keys
            }
            Self::Tls12 {
                suite,
                main_secret,
                client_random,
                server_random,
                from_client,
            } => {
                let keys = Opener::tls12(*suite, main_secret, client_random, server_random);
                let key = keys.map(|[of_client, of_server]| if *from_client { of_client } else { of_server });
                key.into_iter().collect()
            }
        }
    }
}

/// All that one side says.
fn bytes_of(events: &[Event], from_client: bool) -> Vec<u8> {
    let theirs = events.iter().filter(|event| event.from_client == from_client);
    let bytes = theirs.filter_map(|event| match &event.what {
        What::Bytes(bytes) => Some(&bytes[..]),
        What::End | What::Reset => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Handshake messages without those that a client of TLS 1.2 ignores (RFC 5246 7.4.1.1).
pub(super) fn without_hello_requests(messages: &[u8]) -> Vec<u8> {
    let (mut rest, mut kept) = (messages, Vec::new());
    while let [kind, high, middle, low, ..] = *rest {
        let len = 4 + (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low));
        let (message, behind) = rest.split_at(len.min(rest.len()));
        if message != [0; 4] || kind != 0 {
            kept.extend(message);
        }
        rest = behind;
    }
    kept.extend(rest);
    kept
}

#[cfg(test)]
impl Said {
    pub(super) fn units(&self) -> &[Unit] {
        &self.units
    }
}

#[cfg(test)]
impl Unit {
    pub(super) fn is_sealed_message(&self) -> bool {
        self.content_type == HANDSHAKE && matches!(self.seal, Seal::With(_))
    }
}
