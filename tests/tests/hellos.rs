//! HelloRetryRequest, and hellos by hand: what is tolerated in them, and what is refused with which alert.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use tls_core::{
    AlertDescription, ClientConfigBuilder, Driver, Error, ErrorKind, ExtensionType, Misbehaviour, NamedGroup,
    Progress, Side,
};
use tls_tests::hello::{Hello, RETRY_RANDOM, record, records};
use tls_tests::pair::{NAME, Pair, client, name, server};

type A = AlertDescription;

const X25519: u16 = 29;
const SECP384R1: u16 = 24;

/// A client against a script: what is made of its ClientHello is its answer.
struct Scripted {
    driver: Driver,
    hello: Hello,
}

impl Scripted {
    fn new(config: ClientConfigBuilder) -> Self {
        let mut driver = Driver::client(&config.build().unwrap(), name(NAME));
        assert_eq!(driver.advance().unwrap(), Progress::Waiting);
        let hello = Hello::parse(&driver.transmit());
        Self { driver, hello }
    }

    /// The client's next ClientHello.
    fn answer(&mut self, bytes: &[u8]) -> Result<Hello, Error> {
        self.driver.receive(bytes);
        self.driver.advance()?;
        let flight = self.driver.transmit();
        let after_dummy = flight.strip_prefix(&[20, 3, 3, 0, 1, 1]).unwrap_or(&flight);
        assert_eq!(after_dummy[..3], [22, 3, 3]);
        Ok(Hello::parse(after_dummy))
    }

    fn refuses(mut self, bytes: &[u8]) -> (Misbehaviour, AlertDescription) {
        self.driver.receive(bytes);
        let error = self.driver.advance().expect_err("it must be refused");
        let alert = error.alert().unwrap();
        assert_eq!(records(&self.driver.transmit()), [(21, vec![2, alert.0])]);
        match error.into_kind() {
            ErrorKind::Misbehaved(misbehaviour) => (misbehaviour, alert),
            other => panic!("{other}"),
        }
    }
}

fn x25519_client() -> ClientConfigBuilder {
    client().key_shares([NamedGroup::X25519])
}

/// What a server says to these bytes: the content of its first record, or the error with its alert.
fn server_answer(bytes: &[u8]) -> Result<Vec<u8>, (Error, u8)> {
    let mut driver = Driver::server(&server().build().unwrap());
    driver.receive(bytes);
    let result = driver.advance();
    let flight = records(&driver.transmit());
    match result {
        Ok(_) => Ok(flight
            .first()
            .map(|(_, content)| content.clone())
            .unwrap_or_default()),
        Err(error) => {
            assert_eq!((flight[0].0, flight[0].1[0]), (21, 2), "{error}");
            Err((error, flight[0].1[1]))
        }
    }
}

fn server_refuses(hello: &Hello, alert: AlertDescription) -> ErrorKind {
    let (error, sent) = server_answer(&hello.record()).expect_err("it must be refused");
    assert_eq!((error.alert(), sent), (Some(alert), alert.0), "{error}");
    error.into_kind()
}

fn client_hello() -> Hello {
    Scripted::new(client()).hello
}

#[test]
fn a_retry_settles_on_any_group_in_any_chunking() {
    let shares = [
        &[NamedGroup::X25519][..],
        &[],
        &[NamedGroup::SECP256R1, NamedGroup::X25519],
    ];
    let wanted = [
        NamedGroup::SECP384R1,
        NamedGroup::SECP521R1,
        NamedGroup::X25519MLKEM768,
    ];
    for compatible in [true, false] {
        for shares in shares {
            for group in wanted {
                for chunk in [1, 7, usize::MAX] {
                    let client = client()
                        .key_shares(shares.iter().copied())
                        .middlebox_compatibility(compatible)
                        .build()
                        .unwrap();
                    let server = server().groups([group]).build().unwrap();
                    let outcome = Pair::new(&client, &server).in_chunks_of(chunk).run();
                    for sender in [Side::Client, Side::Server] {
                        let dummies = outcome
                            .flights
                            .iter()
                            .filter(|flight| flight.sender == sender)
                            .flat_map(|flight| records(&flight.bytes))
                            .filter(|(content_type, _)| *content_type == 20);
                        assert_eq!(dummies.count(), usize::from(compatible), "{sender:?}");
                    }
                    let mut ends = outcome.established();
                    assert!(ends.client.negotiated().had_hello_retry_request());
                    assert_eq!(ends.client.negotiated().group(), Some(group));
                    ends.check(b"after a retry");
                    ends.close();
                }
            }
        }
    }
}

#[test]
fn key_shares_stand_in_the_order_of_the_groups_and_once() {
    let client = client()
        .groups([NamedGroup::SECP256R1, NamedGroup::X25519, NamedGroup::SECP384R1])
        .key_shares([NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::X25519]);
    let hello = Scripted::new(client).hello;
    let (mut shares, mut groups) = (&hello.extension(51)[2..], Vec::new());
    while let [high, low, length_high, length_low, rest @ ..] = shares {
        groups.push(u16::from_be_bytes([*high, *low]));
        shares = &rest[usize::from(u16::from_be_bytes([*length_high, *length_low]))..];
    }
    assert_eq!(groups, [23, 29]);
}

#[test]
fn a_server_asks_rather_for_its_best_group_only_where_no_share_will_do() {
    let client = x25519_client().build().unwrap();
    let ends = Pair::new(&client, &server().build().unwrap()).run().established();
    assert_eq!(ends.client.negotiated().group(), Some(NamedGroup::X25519));
    assert!(!ends.client.negotiated().had_hello_retry_request());
}

#[test]
fn a_cookie_is_echoed_and_nothing_else_changes() {
    let mut client = Scripted::new(x25519_client());
    let retry = Hello::retry_for(&client.hello, None).with(44, &[0, 3, 7, 8, 9]);
    let second = client.answer(&retry.record()).unwrap();
    assert_eq!(second.extension(44), [0, 3, 7, 8, 9]);
    assert_eq!(second.without(44), client.hello);
}

#[test]
fn a_retry_changes_the_share_and_adds_the_cookie() {
    let mut client = Scripted::new(x25519_client());
    let retry = Hello::retry_for(&client.hello, Some(SECP384R1)).with(44, &[0, 1, 7]);
    let second = client.answer(&retry.record()).unwrap();
    let share = second.extension(51).to_vec();
    assert_eq!((&share[2..4], share.len()), (&[0, 24][..], 2 + 4 + 97));
    assert_eq!(second.without(44).without(51), client.hello.without(51));
}

#[test]
fn a_second_retry_is_refused() {
    let mut client = Scripted::new(x25519_client());
    let retry = Hello::retry_for(&client.hello, Some(SECP384R1)).record();
    client.answer(&retry).unwrap();
    let (misbehaviour, alert) = client.refuses(&retry);
    assert!(matches!(misbehaviour, Misbehaviour::BadRetryRequest(_)));
    assert_eq!(alert, A::UNEXPECTED_MESSAGE);
}

#[test]
fn a_retry_that_asks_for_what_was_given_or_for_nothing_is_refused() {
    for group in [Some(X25519), None] {
        let client = Scripted::new(x25519_client());
        let retry = Hello::retry_for(&client.hello, group).record();
        let (misbehaviour, alert) = client.refuses(&retry);
        assert!(matches!(misbehaviour, Misbehaviour::BadRetryRequest(_)));
        assert_eq!(alert, A::ILLEGAL_PARAMETER);
    }
}

#[test]
fn what_is_wrong_in_a_retry_is_refused() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, AlertDescription); 11] = [
        (|retry| retry.with(51, &[0, 30]), A::ILLEGAL_PARAMETER),
        (|retry| retry.with(51, &[0]), A::DECODE_ERROR),
        (|retry| retry.with(43, &[3, 3]), A::ILLEGAL_PARAMETER),
        (|retry| retry.without(43), A::ILLEGAL_PARAMETER),
        (|retry| retry.with(44, &[0, 0]), A::DECODE_ERROR),
        (|retry| retry.with(0x1234, &[]), A::UNSUPPORTED_EXTENSION),
        // Offered, known, and not for this message.
        (|retry| retry.with(0, &[]), A::ILLEGAL_PARAMETER),
        (
            |retry| Hello {
                session_id: vec![1; 32],
                ..retry
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |retry| Hello {
                suites: vec![0xc0, 0x2b],
                ..retry
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |retry| Hello {
                compression: vec![1],
                ..retry
            },
            A::DECODE_ERROR,
        ),
        (
            |retry| Hello {
                version: [3, 4],
                ..retry
            },
            A::ILLEGAL_PARAMETER,
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let client = Scripted::new(x25519_client());
        let retry = change(Hello::retry_for(&client.hello, Some(SECP384R1)));
        let mut driver = client.driver;
        driver.receive(&retry.record());
        let error = driver.advance().expect_err(&format!("case {number}"));
        assert_eq!(error.alert(), Some(expected), "case {number}: {error}");
        assert_eq!(records(&driver.transmit()), [(21, vec![2, expected.0])]);
    }
}

#[test]
fn suite_and_group_may_not_change_after_a_retry() {
    for (suite, group, field) in [
        ([0x13, 2], 24, "the cipher suite of HelloRetryRequest"),
        // The group of the first share instead of the one that was asked for.
        ([0x13, 1], 29, "the group of HelloRetryRequest"),
    ] {
        let mut client = Scripted::new(x25519_client());
        let retry = Hello::retry_for(&client.hello, Some(SECP384R1));
        assert_eq!(retry.suites, [0x13, 1]);
        let second = client.answer(&retry.record()).unwrap();
        let hello = Hello::server_for(&second).with(51, &[0, group, 0, 1, 4]);
        let hello = Hello {
            suites: suite.to_vec(),
            ..hello
        };
        let (misbehaviour, alert) = client.refuses(&hello.record());
        assert_eq!(misbehaviour, Misbehaviour::Mismatch(field));
        assert_eq!(alert, A::ILLEGAL_PARAMETER);
    }
}

#[test]
fn what_is_wrong_in_a_server_hello_is_refused() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, AlertDescription); 20] = [
        (|hello| hello.with(0x1234, &[]), A::UNSUPPORTED_EXTENSION),
        (|hello| hello.with(41, &[0, 0]), A::UNSUPPORTED_EXTENSION),
        (|hello| hello.with(0, &[]), A::ILLEGAL_PARAMETER),
        (|hello| hello.with(13, &[0, 2, 4, 3]), A::ILLEGAL_PARAMETER),
        (|hello| hello.without(51), A::MISSING_EXTENSION),
        // A group without a share of ours, a share of the wrong length, an all-zero X25519 share.
        (|hello| hello.with(51, &[0, 24, 0, 1, 4]), A::ILLEGAL_PARAMETER),
        (|hello| hello.with(51, &[0, 29, 0, 1, 4]), A::ILLEGAL_PARAMETER),
        (
            |hello| hello.with(51, &[&[0, 29, 0, 32][..], &[0; 32]].concat()),
            A::ILLEGAL_PARAMETER,
        ),
        (|hello| hello.with(51, &[0, 29, 0, 0]), A::DECODE_ERROR),
        (|hello| hello.with(43, &[3, 3]), A::ILLEGAL_PARAMETER),
        (|hello| hello.with(43, &[3, 5]), A::ILLEGAL_PARAMETER),
        (|hello| hello.with(43, &[3]), A::DECODE_ERROR),
        // TLS 1.2 with a key_share, and TLS 1.1.
        (|hello| hello.without(43), A::ILLEGAL_PARAMETER),
        (
            |hello| Hello {
                version: [3, 2],
                ..hello.without(43)
            },
            A::PROTOCOL_VERSION,
        ),
        (
            |hello| Hello {
                random: *b"........................DOWNGRD\x01",
                ..hello.without(43)
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                random: *b"........................DOWNGRD\x00",
                ..hello.without(43)
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                session_id: vec![],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                suites: vec![0x13, 4],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                compression: vec![1],
                ..hello
            },
            A::DECODE_ERROR,
        ),
        (
            |hello| Hello {
                version: [3, 4],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let client = Scripted::new(x25519_client());
        let hello = change(Hello::server_for(&client.hello));
        let mut driver = client.driver;
        driver.receive(&hello.record());
        let error = driver.advance().expect_err(&format!("case {number}"));
        assert_eq!(error.alert(), Some(expected), "case {number}: {error}");
        assert_eq!(records(&driver.transmit()), [(21, vec![2, expected.0])]);
    }
}

#[test]
fn a_duplicate_extension_in_a_server_hello_is_refused() {
    let client = Scripted::new(x25519_client());
    let mut hello = Hello::server_for(&client.hello);
    hello.extensions.push((43, vec![3, 4]));
    let mut driver = client.driver;
    driver.receive(&hello.record());
    assert_eq!(driver.advance().unwrap_err().alert(), Some(A::ILLEGAL_PARAMETER));
}

#[test]
fn handshake_bytes_behind_a_hello_that_ends_plaintext_are_refused() {
    let client = Scripted::new(x25519_client());
    let mut message = Hello::server_for(&client.hello).message();
    message.extend([8, 0, 0, 2, 0, 0]);
    let (misbehaviour, alert) = client.refuses_plain(&record(22, &message));
    assert_eq!(misbehaviour, Misbehaviour::HandshakeDataAcrossKeyChange);
    assert_eq!(alert, A::UNEXPECTED_MESSAGE);

    let mut message = client_hello().message();
    message.extend([20, 0]);
    let (error, alert) = server_answer(&record(22, &message)).unwrap_err();
    assert_eq!(alert, A::UNEXPECTED_MESSAGE.0, "{error}");
}

impl Scripted {
    /// As `refuses`, where the alert may be preceded by a dummy change_cipher_spec.
    fn refuses_plain(mut self, bytes: &[u8]) -> (Misbehaviour, AlertDescription) {
        self.driver.receive(bytes);
        let error = self.driver.advance().expect_err("it must be refused");
        let alert = error.alert().unwrap();
        let sent = records(&self.driver.transmit());
        assert_eq!(sent.last(), Some(&(21, vec![2, alert.0])));
        match error.into_kind() {
            ErrorKind::Misbehaved(misbehaviour) => (misbehaviour, alert),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn unknown_and_grease_values_are_tolerated() {
    let hello = client_hello();
    let mut suites = vec![0x0a, 0x0a, 0xff, 0x77];
    suites.extend(&hello.suites);
    let prefixed = |extension: u16, prefix: usize, value: &[u8]| {
        let old = hello.extension(extension);
        let length = old.len() - prefix + value.len();
        let mut new = if prefix == 1 {
            vec![length as u8]
        } else {
            (length as u16).to_be_bytes().to_vec()
        };
        new.extend(value);
        new.extend(&old[prefix..]);
        new
    };
    let greased = Hello {
        suites,
        ..hello.clone()
    }
    .with(10, &prefixed(10, 2, &[0x1a, 0x1a]))
    .with(13, &prefixed(13, 2, &[0x2a, 0x2a]))
    .with(43, &prefixed(43, 1, &[0x3a, 0x3a]))
    .with(51, &prefixed(51, 2, &[0x1a, 0x1a, 0, 1, 0]))
    .with(0x4a4a, &[])
    .with(0xfafa, &[0])
    .with(0x1234, &[1, 2, 3])
    .with(45, &[2, 1, 0x0b])
    .with(21, &[0; 200]);
    for version in [[3, 3], [3, 1], [3, 4]] {
        let hello = Hello {
            version,
            ..greased.clone()
        };
        let answer = server_answer(&hello.record()).unwrap();
        assert_eq!(answer[0], 2);
        assert_ne!(answer[6..38], RETRY_RANDOM);
    }
}

#[test]
fn a_client_of_older_versions_alone_is_told_the_version() {
    let old = Hello {
        version: [3, 2],
        ..client_hello().without(43).without(51)
    };
    assert!(matches!(
        server_refuses(&old, A::PROTOCOL_VERSION),
        ErrorKind::NothingInCommon(_)
    ));
    server_refuses(&client_hello().with(43, &[4, 3, 2, 3, 1]), A::PROTOCOL_VERSION);
}

#[test]
fn a_warning_after_a_retry_is_as_fatal_as_it_is_in_tls13() {
    let mut client = Scripted::new(x25519_client());
    let retry = Hello::retry_for(&client.hello, Some(SECP384R1));
    client.answer(&retry.record()).unwrap();
    client.driver.receive(&record(21, &[1, 112]));
    let error = client.driver.advance().unwrap_err();
    assert_eq!(error.alert(), Some(A::DECODE_ERROR), "{error}");
}

#[test]
fn what_is_wrong_in_a_client_hello_is_refused() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, AlertDescription); 16] = [
        (|hello| hello.without(10), A::MISSING_EXTENSION),
        (|hello| hello.without(13), A::MISSING_EXTENSION),
        (|hello| hello.without(51), A::MISSING_EXTENSION),
        (
            |hello| Hello {
                compression: vec![1, 0],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                compression: vec![],
                ..hello
            },
            A::DECODE_ERROR,
        ),
        (
            |hello| Hello {
                suites: vec![],
                ..hello
            },
            A::DECODE_ERROR,
        ),
        (
            |hello| Hello {
                suites: vec![0x13],
                ..hello
            },
            A::DECODE_ERROR,
        ),
        (
            |hello| Hello {
                session_id: vec![1; 33],
                ..hello
            },
            A::DECODE_ERROR,
        ),
        // A share for a group that is not offered, a short one, the same group twice.
        (
            |hello| hello.with(51, &[0, 5, 0, 30, 0, 1, 4]),
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| hello.with(51, &[0, 5, 0, 29, 0, 1, 4]),
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| hello.with(51, &[0, 10, 0, 24, 0, 1, 4, 0, 24, 0, 1, 4]),
            A::ILLEGAL_PARAMETER,
        ),
        (|hello| hello.with(51, &[0, 5, 0, 29, 0, 2, 4]), A::DECODE_ERROR),
        // Of a HelloRetryRequest's cookie, or a CertificateRequest's oid_filters.
        (|hello| hello.with(48, &[0, 0]), A::ILLEGAL_PARAMETER),
        (|hello| hello.with(13, &[0, 0]), A::DECODE_ERROR),
        (|hello| hello.with(0, &[0, 0]), A::DECODE_ERROR),
        // pre_shared_key without psk_key_exchange_modes (section 4.2.9).
        (|hello| hello.without(45).with(41, &psk()), A::MISSING_EXTENSION),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let hello = change(client_hello());
        let (error, alert) = server_answer(&hello.record()).expect_err(&format!("case {number}"));
        assert_eq!(alert, expected.0, "case {number}: {error}");
    }
}

/// A pre_shared_key extension with one identity and binder that nobody knows.
fn psk() -> Vec<u8> {
    let mut psk = vec![0, 10, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 33, 32];
    psk.extend([5; 32]);
    psk
}

#[test]
fn a_psk_that_nobody_knows_is_passed_over_and_must_be_last() {
    let hello = client_hello().with(45, &[1, 1]).with(41, &psk());
    assert_eq!(server_answer(&hello.record()).unwrap()[0], 2);
    server_refuses(&hello.with(0x1234, &[]), A::ILLEGAL_PARAMETER);
}

#[test]
fn a_second_client_hello_may_only_change_what_it_was_asked_for() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, Option<AlertDescription>); 8] = [
        (|hello| hello, None),
        (|hello| hello.with(21, &[0; 30]), None),
        (
            |hello| Hello {
                random: [1; 32],
                ..hello
            },
            Some(A::ILLEGAL_PARAMETER),
        ),
        (
            |hello| Hello {
                session_id: vec![1; 32],
                ..hello
            },
            Some(A::ILLEGAL_PARAMETER),
        ),
        (
            |hello| Hello {
                suites: vec![0x13, 1],
                ..hello
            },
            Some(A::ILLEGAL_PARAMETER),
        ),
        (|hello| hello.without(0), Some(A::ILLEGAL_PARAMETER)),
        (|hello| hello.with(51, &[0, 0]), Some(A::ILLEGAL_PARAMETER)),
        (|hello| hello.with(42, &[]), Some(A::ILLEGAL_PARAMETER)),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let mut client = Driver::client(&x25519_client().build().unwrap(), name(NAME));
        let mut server = Driver::server(&server().groups([NamedGroup::SECP384R1]).build().unwrap());
        client.advance().unwrap();
        server.receive(&client.transmit());
        server.advance().unwrap();
        client.receive(&server.transmit());
        client.advance().unwrap();
        let flight = client.transmit();
        let (dummy, second) = flight.split_at(6);
        assert_eq!(dummy, [20, 3, 3, 0, 1, 1]);
        server.receive(&change(Hello::parse(second)).record());
        match (server.advance(), expected) {
            (Ok(_), None) => assert_eq!(records(&server.transmit())[0].1[0], 2),
            (Err(error), Some(alert)) => {
                assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
                assert_eq!(records(&server.transmit()), [(21, vec![2, alert.0])]);
            }
            (result, _) => panic!("case {number}: {result:?}"),
        }
    }
}

#[test]
fn early_data_after_a_retry_or_without_one_is_skipped() {
    // A client that tries early data with a ticket of another server.
    let hello = client_hello().with(45, &[1, 1]).with(42, &[]).with(41, &psk());
    let mut driver = Driver::server(&server().build().unwrap());
    driver.receive(&hello.record());
    for _ in 0..3 {
        driver.receive(&record(23, &[0x55; 100]));
    }
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    // There is a limit to it.
    for _ in 0..10 {
        driver.receive(&record(23, &[0x55; 16_000]));
    }
    let error = driver.advance().unwrap_err();
    assert_eq!(error.alert(), Some(A::UNEXPECTED_MESSAGE), "{error}");
}

#[test]
fn an_unsolicited_extension_is_named() {
    let client = Scripted::new(x25519_client());
    let hello = Hello::server_for(&client.hello).with(41, &[0, 0]);
    let (misbehaviour, _) = client.refuses(&hello.record());
    assert_eq!(
        misbehaviour,
        Misbehaviour::UnsolicitedExtension(ExtensionType::PRE_SHARED_KEY)
    );
}
