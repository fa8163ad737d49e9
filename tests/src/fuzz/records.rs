//! The record layer of an established connection: records of any type and length, sealed with the traffic keys of the
//! peer, in pieces of any size, while our own side writes, changes its keys and closes.
//!
//! An input is a byte for the suite and the side, one for the size of the pieces, then what happens. The data that
//! comes out must be what was sealed, and what we write must open with the keys that the peer has.

use std::sync::Arc;

use tls_core::fuzzing::seeded;
use tls_core::{
    CipherSuite as C, Connection, KeyUpdateRequest, NamedGroup, ProtocolVersion as V, ReadEvent, Side,
};

use super::input::{Input, put_vec16};
use super::{Seeds, assert_blames_the_peer};
use crate::pair::Pair;
use crate::transcript::case::{Setting, Shared, client_config, server_config};
use crate::transcript::keys::{Opener, Suite};
use crate::transcript::run::Secrets;

/// Fewer than the KeyUpdates that may come in a row.
const MAX_STEPS: usize = 30;

const SUITES: [(V, C); 6] = [
    (V::TLS13, C::TLS_AES_128_GCM_SHA256),
    (V::TLS13, C::TLS_AES_256_GCM_SHA384),
    (V::TLS13, C::TLS_CHACHA20_POLY1305_SHA256),
    (V::TLS12, C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    (V::TLS12, C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (V::TLS12, C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

const OF_THE_SERVER: u8 = 0x80;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// The longest plaintext of a record.
const MAX_FRAGMENT: usize = 1 << 14;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let first = input.u8();
    let chunk = match input.u8() {
        0 => usize::MAX,
        chunk => chunk.into(),
    };
    let (version, suite) = SUITES[usize::from(first & 0x7f) % SUITES.len()];
    let side = if first & OF_THE_SERVER == 0 {
        Side::Client
    } else {
        Side::Server
    };
    seeded(2, || {
        let mut bench = Bench::new(version, suite, side, chunk);
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            bench.step(&mut input);
        }
        bench.end();
    });
}

/// A connection of ours, and the keys of its peer.
struct Bench {
    connection: Connection,
    version: V,
    chunk: usize,
    /// What the peer seals with.
    sealer: Opener,
    /// What it opens with.
    opener: Opener,
    /// Data that was sealed, and data that came out.
    sealed: Vec<u8>,
    data: Vec<u8>,
    /// Nothing came but whole records that are good.
    is_good: bool,
    /// What ended reading.
    ended: Option<Ended>,
    written: Vec<u8>,
    /// What the peer opened.
    opened: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    Failed(String),
}

impl Bench {
    fn new(version: V, suite: C, side: Side, chunk: usize) -> Self {
        let secrets = Arc::new(Secrets::default());
        let shared = Shared::new(super::scenario::CLOCK, Arc::clone(&secrets) as _);
        let both = [
            Setting::Version(version),
            Setting::Suites(vec![suite]),
            Setting::Groups(vec![NamedGroup::X25519]),
        ];
        let of_server = [Setting::Certificate("ed25519"), Setting::Tickets(0)];
        let client = client_config(&both, &shared);
        let server = server_config(&[&both[..], &of_server].concat(), &shared);
        let outcome = Pair::new(&client, &server).run();
        let randoms = randoms(
            &outcome
                .flights
                .iter()
                .map(|flight| &flight.bytes[..])
                .collect::<Vec<_>>(),
        );
        let ends = outcome.established();
        let [of_client, of_server] = keys(&secrets, suite, &randoms);
        let (connection, sealer, opener) = match side {
            Side::Client => (ends.client, of_server, of_client),
            Side::Server => (ends.server, of_client, of_server),
        };
        let (sealed, data, written, opened) = Default::default();
        let (is_good, ended) = (true, None);
        Self {
            connection,
            version,
            chunk,
            sealer,
            opener,
            sealed,
            data,
            is_good,
            ended,
            written,
            opened,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 12 {
            0..3 => {
                let content = input.vec16().to_vec();
                self.deliver_sealed(DATA, &content, 0);
            }
            // As long as may be, or a little longer.
            3 => {
                let len = MAX_FRAGMENT + usize::from(input.u8() % 4) * 85;
                self.deliver_sealed(DATA, &vec![7; len], 0);
            }
            4 | 5 => {
                let (kind, padding) = (input.u8(), input.u16());
                let content = input.vec16().to_vec();
                self.deliver_sealed(kind, &content, padding % MAX_FRAGMENT);
            }
            // KeyUpdate; the next record has the next key.
            6 => {
                let request = input.u8() & 1;
                self.deliver_sealed(HANDSHAKE, &[24, 0, 0, 1, request], 0);
                if let Some(next) = self.sealer.updated() {
                    self.sealer = next;
                }
            }
            // Not sealed.
            7 => {
                let kind = input.u8();
                let content = input.vec16().to_vec();
                self.is_good = false;
                self.deliver(&crate::hello::record(kind, &content));
            }
            8 => {
                let bytes = input.vec16().to_vec();
                self.is_good &= bytes.is_empty();
                self.deliver(&bytes);
            }
            9 => {
                let data = input.vec16();
                if let Ok(taken) = self.connection.writer.write(data) {
                    self.written.extend(&data[..taken]);
                }
            }
            10 => {
                let request = match input.u8() & 1 {
                    0 => KeyUpdateRequest::UPDATE_NOT_REQUESTED,
                    _ => KeyUpdateRequest::UPDATE_REQUESTED,
                };
                let updated = self.connection.writer.request_key_update(request);
                assert!(updated.is_err() || self.version == V::TLS13);
            }
            _ => self
                .connection
                .writer
                .close_notify()
                .expect("closing is always possible"),
        }
        self.drain();
    }

    /// A record of the peer, which is good data or not.
    fn deliver_sealed(&mut self, kind: u8, content: &[u8], padding: usize) {
        let is_tls13 = self.version == V::TLS13;
        let padding = if is_tls13 { padding } else { 0 };
        let record = self.sealer.seal(kind, content, padding).expect("few records");
        // Zeros are padding, whatever they were meant to be (section 5.4).
        let (kind, content) = match content.iter().rposition(|byte| *byte != 0) {
            Some(last) if is_tls13 && kind == 0 => (content[last], &content[..last]),
            _ => (kind, content),
        };
        let is_short = content.len() <= MAX_FRAGMENT;
        if kind == DATA && is_short {
            self.sealed.extend(content);
        }
        let is_update = is_tls13 && kind == HANDSHAKE && matches!(content, [24, 0, 0, 1, 0 | 1]);
        // Empty ones may come a few times, and long padding may make a record too long.
        self.is_good &= kind == DATA && is_short && !content.is_empty() && padding == 0 || is_update;
        self.deliver(&record);
    }

    fn deliver(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk.min(bytes.len()).max(1)) {
            let mut rest = piece;
            while !rest.is_empty() {
                let space = self.connection.reader.space();
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                self.connection.reader.filled(count);
                rest = &rest[count..];
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let reader = &mut self.connection.reader;
        loop {
            let ended = match reader.process() {
                Ok(ReadEvent::Data) => {
                    self.data.extend_from_slice(reader.data());
                    reader.consume(reader.data().len());
                    assert_eq!(self.ended, None, "data after the end");
                    continue;
                }
                Ok(ReadEvent::Closed) => Ended::Closed,
                Ok(_) => break,
                Err(error) => {
                    assert_blames_the_peer(&error, "reading");
                    Ended::Failed(format!("{:?}", error.kind()))
                }
            };
            assert_eq!(
                *self.ended.get_or_insert_with(|| ended.clone()),
                ended,
                "it ends twice"
            );
            break;
        }
    }

    /// Opens what our side sends.
    fn drain(&mut self) {
        let writer = &mut self.connection.writer;
        writer.apply_control().expect("control can be applied");
        let bytes = writer.pending().to_vec();
        writer.sent(bytes.len());
        for (kind, body) in crate::hello::records(&bytes) {
            let record = [&bytes_of_header(kind, body.len()), &body[..]].concat();
            let (kind, content) = self.open(&record);
            match (kind, &content[..]) {
                (DATA, data) => self.opened.extend(data),
                (HANDSHAKE, [24, 0, 0, 1, 0 | 1]) => self.opener = self.opener.updated().expect("of TLS 1.3"),
                (ALERT, [1 | 2, _]) => {}
                other => panic!("we send {other:?}"),
            }
        }
        assert_eq!(self.opened.len(), self.written.len());
    }

    fn open(&mut self, record: &[u8]) -> (u8, Vec<u8>) {
        let mut content = self.opener.open(record).expect("the peer can open what we send");
        if self.version == V::TLS12 {
            return (record[0], content);
        }
        let end = content
            .iter()
            .rposition(|byte| *byte != 0)
            .expect("a content type");
        let kind = content[end];
        content.truncate(end);
        (kind, content)
    }

    fn end(mut self) {
        self.connection.reader.eof();
        self.read();
        self.drain();
        assert!(self.ended.is_some(), "it waits although nothing will come");
        assert_eq!(self.opened, self.written);
        match self.is_good {
            true => assert_eq!(self.data, self.sealed),
            false => assert!(self.sealed.starts_with(&self.data)),
        }
    }
}

const fn bytes_of_header(kind: u8, len: usize) -> [u8; 5] {
    let [.., high, low] = len.to_be_bytes();
    [kind, 3, 3, high, low]
}

/// The randoms of the hellos.
fn randoms(flights: &[&[u8]]) -> [Vec<u8>; 2] {
    [flights[0], flights[1]].map(|flight| flight[11..43].to_vec())
}

/// The keys of client and server.
fn keys(secrets: &Secrets, suite: C, [client_random, server_random]: &[Vec<u8>; 2]) -> [Opener; 2] {
    let suite = Suite::new(suite.0).expect("a suite of ours");
    let secrets = secrets.get();
    let secret = |label: &str| {
        &secrets
            .iter()
            .find(|secret| secret.label == label)
            .expect("a secret")
            .secret
    };
    if secrets[0].label != "CLIENT_RANDOM" {
        return ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]
            .map(|label| Opener::tls13(suite, secret(label)).expect("a good secret"));
    }
    let keys = Opener::tls12(suite, secret("CLIENT_RANDOM"), client_random, server_random);
    // The Finished had the first number.
    keys.expect("a good secret").map(|mut key| {
        key.seal(HANDSHAKE, b"", 0);
        key
    })
}

/// For each suite and side: data in pieces, everything that is legal, and some of what is not.
pub(super) fn seeds() -> Seeds {
    let data = |text: &[u8]| {
        let mut step = vec![0];
        put_vec16(&mut step, text);
        step
    };
    let sealed = |kind: u8, padding: u8, content: &[u8]| {
        let mut step = vec![4, kind, 0, padding];
        put_vec16(&mut step, content);
        step
    };
    let write = |text: &[u8]| {
        let mut step = vec![9];
        put_vec16(&mut step, text);
        step
    };
    let raw = |kind: u8, content: &[u8]| {
        let mut step = vec![7, kind];
        put_vec16(&mut step, content);
        step
    };
    let ticket = [&[4, 0, 0, 17, 0, 0, 14, 16, 1, 2, 3, 4, 1, 9, 0, 2, 5, 6, 0, 0, 0][..]].concat();
    let plans: [(&str, Vec<Vec<u8>>); 8] = [
        (
            "data",
            vec![
                data(b"some"),
                data(b"more"),
                write(b"answer"),
                sealed(21, 0, &[1, 0]),
            ],
        ),
        ("padded", vec![sealed(23, 100, b"padded"), sealed(23, 9, b"")]),
        (
            "updates",
            vec![
                data(b"one"),
                vec![6, 1],
                data(b"two"),
                vec![6, 0],
                vec![10, 1],
                write(b"three"),
                vec![11],
            ],
        ),
        ("ticket", vec![sealed(22, 0, &ticket), data(b"after")]),
        ("long", vec![vec![3, 0], vec![3, 1], vec![3, 3]]),
        ("alert", vec![data(b"x"), sealed(21, 0, &[2, 40]), write(b"y")]),
        ("plain", vec![raw(21, &[2, 40]), raw(20, &[1])]),
        (
            "request",
            vec![sealed(22, 0, &[0, 0, 0, 0]), sealed(22, 0, &[1, 0, 0, 1, 0])],
        ),
    ];
    let mut seeds = Seeds::new();
    for suite in (0..).take(SUITES.len()) {
        for side in [0, OF_THE_SERVER] {
            for (name, steps) in &plans {
                let bytes = [&[suite | side, suite * 3][..], &steps.concat()].concat();
                seeds.push((format!("{name}-{suite}-{side}"), bytes));
            }
        }
    }
    seeds
}
