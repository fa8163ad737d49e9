//! Records under the client's own keys that no client sends.

use aws_lc_rs::{aead, hkdf};
use tls_core::{AlertDescription, ErrorKind};

use super::*;
use End::{Refused, Told, Waits};

type A = AlertDescription;

#[derive(Debug, Default)]
struct Log(std::sync::Mutex<Vec<(String, Vec<u8>)>>);

impl tls_core::KeyLog for Log {
    fn log(&self, label: &str, _: &[u8; 32], secret: &[u8]) {
        self.0.lock().unwrap().push((label.to_owned(), secret.to_vec()));
    }
}

/// Makes records under a traffic secret of TLS_AES_128_GCM_SHA256.
struct Seal {
    key: aead::LessSafeKey,
    iv: Vec<u8>,
    seq: u64,
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (section 7.1).
fn expand(secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let mut info = (len as u16).to_be_bytes().to_vec();
    info.push(label.len() as u8);
    info.extend(label.bytes());
    info.push(0);
    let mut out = vec![0; len];
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret);
    prk.expand(&[&info], Len(len)).unwrap().fill(&mut out).unwrap();
    out
}

impl Seal {
    fn new(secret: &[u8], seq: u64) -> Self {
        let key = expand(secret, "key", 16);
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &key).unwrap();
        Self {
            key: aead::LessSafeKey::new(key),
            iv: expand(secret, "iv", 12),
            seq,
        }
    }

    fn record(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let mut inner = content.to_vec();
        inner.push(content_type);
        let mut nonce: [u8; 12] = self.iv.clone().try_into().unwrap();
        for (i, b) in self.seq.to_be_bytes().iter().enumerate() {
            nonce[4 + i] ^= b;
        }
        self.seq += 1;
        let mut header = vec![23, 3, 3];
        header.extend(((inner.len() + 16) as u16).to_be_bytes());
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, aead::Aad::from(header.clone()), &mut inner)
            .unwrap();
        header.extend(inner);
        header
    }
}

/// An early server that has got the flight with five bytes, and what seals more early data, and under the handshake keys.
fn forged() -> (Driver, Seal, Seal) {
    let log = Arc::new(Log::default());
    let server = server()
        .cipher_suites([tls_core::CipherSuite::TLS_AES_128_GCM_SHA256])
        .key_log(log.clone())
        .build()
        .unwrap();
    let client = client().build().unwrap();
    meet(&client, &server);
    let (_, flight) = early_client(&client, b"early");
    log.0.lock().unwrap().clear();
    let mut theirs = early_server(&server, &flight);
    theirs.transmit();
    let secret = |label: &str| {
        log.0
            .lock()
            .unwrap()
            .iter()
            .find(|l| l.0 == label)
            .unwrap()
            .1
            .clone()
    };
    let early = Seal::new(&secret("CLIENT_EARLY_TRAFFIC_SECRET"), 1);
    let handshake = Seal::new(&secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), 0);
    (theirs, early, handshake)
}

type Make = fn(&mut Seal, &mut Seal) -> Vec<Vec<u8>>;

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It waits for more.
    Waits,
    /// It refuses with this alert.
    Refused(AlertDescription),
    /// It was told by an alert that this is the end, and answers nothing.
    Told,
}

/// Under the early keys, and under the handshake keys after that.
const CASES: &[(&str, End, Make)] = &[
    (
        "EndOfEarlyData and more in one record",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, _| vec![e.record(22, &[5, 0, 0, 0, 20])],
    ),
    ("EndOfEarlyData twice", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(22, &[5, 0, 0, 0, 5, 0, 0, 0])]
    }),
    ("EndOfEarlyData in pieces", Waits, |e, _| {
        vec![e.record(22, &[5]), e.record(22, &[0, 0, 0])]
    }),
    (
        "EndOfEarlyData in pieces, data between",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, _| vec![e.record(22, &[5]), e.record(23, b"x")],
    ),
    (
        "EndOfEarlyData in pieces, empty data between",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, _| vec![e.record(22, &[5]), e.record(23, b"")],
    ),
    ("EndOfEarlyData in pieces, close_notify between", Told, |e, _| {
        vec![e.record(22, &[5]), e.record(21, &[1, 0])]
    }),
    (
        "EndOfEarlyData in pieces, ccs between",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, _| vec![e.record(22, &[5]), vec![20, 3, 3, 0, 1, 1]],
    ),
    (
        "EndOfEarlyData in pieces, across keys",
        Refused(A::BAD_RECORD_MAC),
        |e, h| vec![e.record(22, &[5, 0]), h.record(22, &[0, 0])],
    ),
    ("EndOfEarlyData with a body", Refused(A::DECODE_ERROR), |e, _| {
        vec![e.record(22, &[5, 0, 0, 1, 0])]
    }),
    ("KeyUpdate", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(22, &[24, 0, 0, 1, 0])]
    }),
    ("Finished", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(22, &[&[20, 0, 0, 32][..], &[0; 32]].concat())]
    }),
    ("big message", Waits, |e, _| vec![e.record(22, &[11, 1, 0, 0])]),
    ("close_notify", Told, |e, _| vec![e.record(21, &[1, 0])]),
    ("data and close_notify", Told, |e, _| {
        vec![e.record(23, b"more"), e.record(21, &[1, 0])]
    }),
    ("bad alert", Refused(A::DECODE_ERROR), |e, _| {
        vec![e.record(21, &[1])]
    }),
    ("empty alert", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(21, &[])]
    }),
    ("empty handshake", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(22, &[])]
    }),
    ("no type", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(0, &[])]
    }),
    ("ccs inside", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(20, &[1])]
    }),
    ("33 empty", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        (0..33).map(|_| e.record(23, b"")).collect()
    }),
    ("33 ccs", Refused(A::UNEXPECTED_MESSAGE), |_, _| {
        (0..33).map(|_| vec![20, 3, 3, 0, 1, 1]).collect()
    }),
    ("5 user_canceled", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        (0..5).map(|_| e.record(21, &[1, 90])).collect()
    }),
    ("fatal alert", Told, |e, _| vec![e.record(21, &[2, 40])]),
    ("plaintext alert", Refused(A::UNEXPECTED_MESSAGE), |_, _| {
        vec![vec![21, 3, 3, 0, 2, 2, 40]]
    }),
    ("plaintext handshake", Refused(A::BAD_RECORD_MAC), |_, _| {
        vec![vec![22, 3, 3, 0, 4, 5, 0, 0, 0]]
    }),
    (
        "data after EndOfEarlyData, early key",
        Refused(A::BAD_RECORD_MAC),
        |e, _| vec![e.record(22, &[5, 0, 0, 0]), e.record(23, b"x")],
    ),
    (
        "data after EndOfEarlyData, handshake key",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, h| vec![e.record(22, &[5, 0, 0, 0]), h.record(23, b"x")],
    ),
    (
        "empty data after EndOfEarlyData, handshake key",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, h| vec![e.record(22, &[5, 0, 0, 0]), h.record(23, b"")],
    ),
    (
        "EndOfEarlyData again, handshake key",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, h| vec![e.record(22, &[5, 0, 0, 0]), h.record(22, &[5, 0, 0, 0])],
    ),
    (
        "KeyUpdate, handshake key",
        Refused(A::UNEXPECTED_MESSAGE),
        |e, h| vec![e.record(22, &[5, 0, 0, 0]), h.record(22, &[24, 0, 0, 1, 0])],
    ),
    ("close_notify, handshake key", Told, |e, h| {
        vec![e.record(22, &[5, 0, 0, 0]), h.record(21, &[1, 0])]
    }),
    ("bad Finished", Refused(A::DECRYPT_ERROR), |e, h| {
        vec![
            e.record(22, &[5, 0, 0, 0]),
            h.record(22, &[&[20, 0, 0, 32][..], &[0; 32]].concat()),
        ]
    }),
    (
        "handshake key without EndOfEarlyData",
        Refused(A::BAD_RECORD_MAC),
        |_, h| vec![h.record(22, &[&[20, 0, 0, 32][..], &[0; 32]].concat())],
    ),
    ("exactly the limit", Waits, |e, _| vec![e.record(23, &[0; 995])]),
    ("one over", Refused(A::UNEXPECTED_MESSAGE), |e, _| {
        vec![e.record(23, &[0; 996])]
    }),
    ("padding does not count", Waits, |e, _| {
        vec![e.record(0, &[&[1; 995][..], &[23], &[0; 3000]].concat())]
    }),
    ("oversized inner", Refused(A::RECORD_OVERFLOW), |e, _| {
        vec![e.record(0, &[0; 16390])]
    }),
];

#[test]
fn records_that_may_not_come_get_their_alerts_whether_or_not_early_data_is_read() {
    for (name, expected, make) in CASES {
        for reads in [true, false] {
            let (mut theirs, mut early, mut handshake) = forged();
            for record in make(&mut early, &mut handshake) {
                theirs.receive(&record);
            }
            let met = reads.then(|| read(theirs.early().unwrap()).err()).flatten();
            theirs.resume();
            let end = theirs.advance();
            if let (Some(first), Err(again)) = (&met, &end) {
                assert_eq!(first.to_string(), again.to_string(), "{name}");
            }
            let answer = theirs.transmit();
            let (end, length) = match &end {
                Ok(_) => (Waits, 0),
                Err(error) => match error.alert() {
                    // A record with the alert and nothing else.
                    Some(alert) => (Refused(alert), 5 + 2 + 1 + 16),
                    None => {
                        assert!(
                            matches!(error.kind(), ErrorKind::AlertReceived(_)),
                            "{name}: {error}"
                        );
                        (Told, 0)
                    }
                },
            };
            assert_eq!(
                (end, answer.len()),
                (*expected, length),
                "{name}, read before: {reads}"
            );
        }
    }
}
