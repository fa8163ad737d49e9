//! Hellos of TLS 1.2 by hand, and which version two sides agree on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use tls_core::{
    AlertDescription, ClientConfigBuilder, Driver, Error, ErrorKind, NamedGroup, NothingInCommon, Progress,
    ProtocolVersion, ServerConfig, ServerConfigBuilder, Side,
};
use tls_tests::hello::{Hello, record, records};
use tls_tests::pair::{NAME, Pair, certified, client, identity, name, server};
use tls_tests::pki::KeyType;
use tls_tests::versions::Only;

type A = AlertDescription;

const TLS12: ProtocolVersion = ProtocolVersion::TLS12;
const TLS13: ProtocolVersion = ProtocolVersion::TLS13;

const EC_POINT_FORMATS: u16 = 11;
const EXTENDED_MAIN_SECRET: u16 = 23;
const SESSION_TICKET: u16 = 35;
const SUPPORTED_VERSIONS: u16 = 43;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// The ClientHello of a client with this configuration, and the client.
fn hello_of(config: ClientConfigBuilder) -> (Driver, Hello) {
    let mut driver = Driver::client(&config.build().unwrap(), name(NAME));
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    let hello = Hello::parse(&driver.transmit());
    (driver, hello)
}

fn client_hello() -> Hello {
    hello_of(client().only(TLS12)).1
}

/// The ServerHello that a server with this configuration answers with, or its error, which it must have told.
fn answer_of(config: ServerConfigBuilder, hello: &Hello) -> Result<Hello, Error> {
    let mut driver = Driver::server(&config.build().unwrap());
    driver.receive(&hello.record());
    let result = driver.advance();
    let sent = driver.transmit();
    match result {
        Ok(_) => Ok(Hello::parse_server(&sent)),
        Err(error) => {
            assert_eq!(
                records(&sent),
                [(21, vec![2, error.alert().unwrap().0])],
                "{error}"
            );
            Err(error)
        }
    }
}

fn server_refuses(config: ServerConfigBuilder, hello: &Hello, alert: AlertDescription) -> ErrorKind {
    let error = answer_of(config, hello).expect_err("it must be refused");
    assert_eq!(error.alert(), Some(alert), "{error}");
    error.into_kind()
}

/// What a client makes of a ServerHello: an error that it must have told, or it waits for more.
fn client_takes(config: ClientConfigBuilder, answer: impl FnOnce(&Hello) -> Hello) -> Result<(), Error> {
    let (mut driver, hello) = hello_of(config);
    driver.receive(&answer(&hello).record());
    let result = driver.advance();
    let sent = records(&driver.transmit());
    match &result {
        Ok(_) => assert!(sent.is_empty(), "{sent:?}"),
        Err(error) => assert_eq!(sent, [(21, vec![2, error.alert().unwrap().0])], "{error}"),
    }
    result.map(drop)
}

fn client_refuses(config: ClientConfigBuilder, answer: Hello, alert: AlertDescription) -> ErrorKind {
    let error = client_takes(config, |_| answer).expect_err("it must be refused");
    assert_eq!(error.alert(), Some(alert), "{error}");
    error.into_kind()
}

#[test]
fn any_two_sides_agree_on_the_best_common_version_or_say_that_there_is_none() {
    let bounds = [(TLS12, TLS12), (TLS13, TLS13), (TLS12, TLS13)];
    for (client_min, client_max) in bounds {
        for (server_min, server_max) in bounds {
            let client = client().min_version(client_min).max_version(client_max);
            let server = server().min_version(server_min).max_version(server_max);
            let outcome = Pair::new(&client.build().unwrap(), &server.build().unwrap()).run();
            let best = client_max.min(server_max);
            if best < client_min.max(server_min) {
                let error = outcome.refused_by(Side::Server, A::PROTOCOL_VERSION);
                let offered = format!("{client_max}");
                assert!(error.to_string().contains(&offered), "{error}");
                continue;
            }
            let mut ends = outcome.established();
            assert_eq!(ends.client.negotiated().version(), best);
            ends.check(b"data");
            ends.close();
        }
    }
}

#[test]
fn a_server_goes_by_supported_versions_and_without_it_by_the_legacy_version() {
    let hello = client_hello();
    let version = |version: [u8; 2]| Hello {
        version,
        ..hello.clone()
    };
    for good in [
        version([3, 3]),
        // TLS 1.3 and beyond are never negotiated by it.
        version([3, 4]),
        version([3, 9]),
        version([3, 3]).with(SUPPORTED_VERSIONS, &[2, 3, 3]),
        version([3, 1]).with(SUPPORTED_VERSIONS, &[4, 3, 2, 3, 3]),
    ] {
        let answer = answer_of(server(), &good).unwrap();
        assert_eq!(answer.version, [3, 3]);
        assert!(answer.extensions.iter().all(|(of, _)| *of != SUPPORTED_VERSIONS));
    }
    for bad in [
        version([3, 2]),
        version([3, 0]),
        version([3, 3]).with(SUPPORTED_VERSIONS, &[2, 3, 2]),
    ] {
        server_refuses(server(), &bad, A::PROTOCOL_VERSION);
    }
}

#[test]
fn only_a_server_that_could_do_better_says_that_it_was_downgraded() {
    for (server, is_marked) in [(server(), true), (server().only(TLS12), false)] {
        let answer = answer_of(server, &client_hello()).unwrap();
        assert_eq!(answer.random[24..] == *b"DOWNGRD\x01", is_marked);
    }
}

#[test]
fn only_a_client_that_could_do_better_minds_the_sentinel() {
    for end in [b"DOWNGRD\x01", b"DOWNGRD\x00"] {
        let mut answer = Hello::server12();
        answer.random[24..].copy_from_slice(end);
        client_refuses(client(), answer.clone(), A::ILLEGAL_PARAMETER);
        client_takes(client().only(TLS12), |_| answer).unwrap();
    }
    // Both are ours, and somebody on the way takes out the version.
    let outcome = Pair::new(&client().build().unwrap(), &server().build().unwrap())
        .mutated(|sender, flight, bytes| {
            if (sender, flight) == (Side::Client, 0) {
                *bytes = Hello::parse(bytes)
                    .without(SUPPORTED_VERSIONS)
                    .without(51)
                    .record();
            }
        })
        .run();
    let _ = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
}

#[test]
fn a_fallback_that_was_not_needed_is_refused() {
    let mut hello = client_hello();
    hello.suites.extend([0x56, 0x00]);
    server_refuses(server(), &hello, A::INAPPROPRIATE_FALLBACK);
    answer_of(server().only(TLS12), &hello).unwrap();
    // A client that says it of its best version.
    let (_, mut best) = hello_of(client());
    best.suites.extend([0x56, 0x00]);
    assert_eq!(
        answer_of(server(), &best).unwrap().extension(SUPPORTED_VERSIONS),
        [3, 4]
    );
}

#[test]
fn secure_renegotiation_is_indicated_to_whoever_asks() {
    let hello = client_hello();
    assert_eq!(hello.extension(RENEGOTIATION_INFO), [0]);
    let silent = hello.clone().without(RENEGOTIATION_INFO);
    let mut by_suite = silent.clone();
    by_suite.suites.extend([0x00, 0xff]);
    let mut by_both = hello.clone();
    by_both.suites.extend([0x00, 0xff]);
    for (hello, answered) in [
        (&hello, true),
        (&by_suite, true),
        (&by_both, true),
        (&silent, false),
    ] {
        let answer = answer_of(server(), hello).unwrap();
        let given = answer.extensions.iter().find(|(of, _)| *of == RENEGOTIATION_INFO);
        assert_eq!(
            given.map(|(_, content)| &content[..]),
            answered.then_some(&[0][..])
        );
    }
    let renegotiating = hello.with(RENEGOTIATION_INFO, &[3, 1, 2, 3]);
    let kind = server_refuses(server(), &renegotiating, A::HANDSHAKE_FAILURE);
    assert!(matches!(
        kind,
        ErrorKind::NothingInCommon(NothingInCommon::SecureRenegotiation)
    ));
}

#[test]
fn a_client_wants_renegotiation_info_and_wants_it_empty() {
    let without = Hello::server12().without(RENEGOTIATION_INFO);
    client_refuses(client(), without.clone(), A::HANDSHAKE_FAILURE);
    client_takes(client().allow_missing_renegotiation_info(), |_| without).unwrap();
    let filled = Hello::server12().with(RENEGOTIATION_INFO, &[3, 1, 2, 3]);
    client_refuses(client(), filled.clone(), A::HANDSHAKE_FAILURE);
    client_refuses(
        client().allow_missing_renegotiation_info(),
        filled,
        A::HANDSHAKE_FAILURE,
    );
}

#[test]
fn the_extended_main_secret_is_required_unless_its_absence_is_allowed() {
    let hello = client_hello().without(EXTENDED_MAIN_SECRET);
    let kind = server_refuses(server(), &hello, A::HANDSHAKE_FAILURE);
    assert!(matches!(
        kind,
        ErrorKind::NothingInCommon(NothingInCommon::ExtendedMainSecret)
    ));
    let allowing = server().allow_missing_extended_main_secret();
    let answer = answer_of(allowing, &hello).unwrap();
    assert!(
        answer
            .extensions
            .iter()
            .all(|(of, _)| *of != EXTENDED_MAIN_SECRET)
    );

    let without = Hello::server12().without(EXTENDED_MAIN_SECRET);
    let kind = client_refuses(client(), without.clone(), A::HANDSHAKE_FAILURE);
    assert!(matches!(
        kind,
        ErrorKind::NothingInCommon(NothingInCommon::ExtendedMainSecret)
    ));
    client_takes(client().allow_missing_extended_main_secret(), |_| without).unwrap();
}

#[test]
fn points_must_be_allowed_uncompressed() {
    server_refuses(
        server(),
        &client_hello().with(EC_POINT_FORMATS, &[1, 1]),
        A::ILLEGAL_PARAMETER,
    );
    let answer = answer_of(server(), &client_hello().with(EC_POINT_FORMATS, &[2, 1, 0])).unwrap();
    assert_eq!(answer.extension(EC_POINT_FORMATS), [1, 0]);
    let answer = answer_of(server(), &client_hello().without(EC_POINT_FORMATS)).unwrap();
    assert!(answer.extensions.iter().all(|(of, _)| *of != EC_POINT_FORMATS));
    for (formats, alert) in [(&[1, 1][..], A::ILLEGAL_PARAMETER), (&[0], A::DECODE_ERROR)] {
        client_refuses(client(), Hello::server12().with(EC_POINT_FORMATS, formats), alert);
    }
    for formats in [&[1, 0][..], &[3, 0, 1, 2]] {
        client_takes(client(), |_| Hello::server12().with(EC_POINT_FORMATS, formats)).unwrap();
    }
}

#[test]
fn what_is_wrong_in_a_server_hello_is_refused() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, AlertDescription); 14] = [
        // Extensions that were not offered: two of them known, one that is ours to ask for and was not.
        (|hello| hello.with(0x1234, &[]), A::UNSUPPORTED_EXTENSION),
        (|hello| hello.with(SESSION_TICKET, &[]), A::UNSUPPORTED_EXTENSION),
        (
            |hello| hello.with(16, &[0, 3, 2, b'h', b'2']),
            A::UNSUPPORTED_EXTENSION,
        ),
        (|hello| hello.with(22, &[]), A::UNSUPPORTED_EXTENSION),
        // Extensions of TLS 1.3, or of clients.
        (|hello| hello.with(51, &[0, 29]), A::DECODE_ERROR),
        (|hello| hello.with(13, &[0, 2, 4, 3]), A::ILLEGAL_PARAMETER),
        (
            |hello| hello.with(SUPPORTED_VERSIONS, &[3, 3]),
            A::ILLEGAL_PARAMETER,
        ),
        (|hello| hello.with(0, &[0]), A::DECODE_ERROR),
        // Suites: unknown, not offered, of TLS 1.3, static RSA.
        (
            |hello| Hello {
                suites: vec![0xc0, 0x23],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                suites: vec![0x13, 1],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                suites: vec![0, 0x9c],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                compression: vec![1],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (
            |hello| Hello {
                version: [3, 2],
                ..hello
            },
            A::PROTOCOL_VERSION,
        ),
        (
            |hello| Hello {
                version: [3, 4],
                ..hello
            },
            A::PROTOCOL_VERSION,
        ),
    ];
    for (number, (change, alert)) in cases.into_iter().enumerate() {
        let error = client_takes(client(), |_| change(Hello::server12())).expect_err("it is wrong");
        assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
    }
    // A client of TLS 1.2 alone is not asked about versions.
    let versions = Hello::server12().with(SUPPORTED_VERSIONS, &[3, 4]);
    client_refuses(client().only(TLS12), versions, A::UNSUPPORTED_EXTENSION);
}

#[test]
fn our_random_session_id_is_no_session_to_resume() {
    let echo = |hello: &Hello| {
        assert_eq!(hello.session_id.len(), 32);
        Hello {
            session_id: hello.session_id.clone(),
            ..Hello::server12()
        }
    };
    let error = client_takes(client(), echo).unwrap_err();
    assert_eq!(error.alert(), Some(A::ILLEGAL_PARAMETER), "{error}");
    // Another one is the server's own.
    let own = |_: &Hello| Hello {
        session_id: vec![5; 32],
        ..Hello::server12()
    };
    client_takes(client(), own).unwrap();
    assert!(client_hello().session_id.is_empty());
}

#[test]
fn a_server_passes_over_sessions_and_tickets_it_does_not_know() {
    let hello = Hello {
        session_id: vec![9; 32],
        ..client_hello().with(SESSION_TICKET, &[7; 100])
    };
    let answer = answer_of(server(), &hello).unwrap();
    assert!(answer.session_id.is_empty());
    // It promises a new one.
    assert!(answer.extension(SESSION_TICKET).is_empty());
    let answer = answer_of(server().tickets(0), &hello).unwrap();
    assert!(answer.session_id.is_empty());
    assert!(answer.extensions.iter().all(|(of, _)| *of != SESSION_TICKET));
}

#[test]
fn what_is_wrong_in_a_client_hello_is_refused() {
    type Change = fn(Hello) -> Hello;
    let cases: [(Change, AlertDescription); 8] = [
        // No groups, no schemes (then SHA-1 would be meant), none in common, a hybrid alone.
        (|hello| hello.without(10), A::HANDSHAKE_FAILURE),
        (|hello| hello.without(13), A::HANDSHAKE_FAILURE),
        (|hello| hello.with(13, &[0, 2, 2, 3]), A::HANDSHAKE_FAILURE),
        (|hello| hello.with(10, &[0, 2, 0x11, 0xec]), A::HANDSHAKE_FAILURE),
        // CBC, static RSA, and RSA where the certificate has another key.
        (
            |hello| Hello {
                suites: vec![0xc0, 0x23, 0x00, 0x9c, 0x00, 0x2f],
                ..hello
            },
            A::HANDSHAKE_FAILURE,
        ),
        (
            |hello| Hello {
                suites: vec![0xc0, 0x2f],
                ..hello
            },
            A::HANDSHAKE_FAILURE,
        ),
        (
            |hello| Hello {
                compression: vec![1],
                ..hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (|hello| hello.with(EXTENDED_MAIN_SECRET, &[0]), A::DECODE_ERROR),
    ];
    for (number, (change, alert)) in cases.into_iter().enumerate() {
        let error = answer_of(server(), &change(client_hello())).expect_err("it is wrong");
        assert_eq!(error.alert(), Some(alert), "case {number}: {error}");
    }
    // Null among others is enough, unlike in TLS 1.3.
    let deflate_too = Hello {
        compression: vec![1, 0],
        ..client_hello()
    };
    answer_of(server(), &deflate_too).unwrap();
}

/// In TLS 1.3 they are about the key exchange alone.
#[test]
fn a_servers_ecdsa_key_is_on_a_curve_of_the_clients_groups_in_tls12() {
    let groups = [
        (vec![29, 23], true),
        (vec![23], true),
        (vec![29], false),
        (vec![29, 24], false),
    ];
    for (groups, is_good) in groups {
        let list: Vec<u8> = groups.iter().flat_map(|group| [0, *group]).collect();
        let list = [&[0, list.len() as u8], &list[..]].concat();
        let p256 = answer_of(server(), &client_hello().with(10, &list));
        assert_eq!(p256.is_ok(), is_good, "{groups:?}");
        if let Err(error) = p256 {
            assert_eq!(error.alert(), Some(A::HANDSHAKE_FAILURE), "{error}");
        }
        for (key_type, is_good) in [
            (KeyType::P384, groups.contains(&24)),
            (KeyType::Ed25519, true),
            (KeyType::Rsa2048, true),
        ] {
            let config = ServerConfig::builder().certificate(certified(&identity(key_type)));
            let answer = answer_of(config, &client_hello().with(10, &list));
            assert_eq!(answer.is_ok(), is_good, "{key_type:?}: {groups:?}");
        }
    }
    let client = client().groups([NamedGroup::X25519]).only(TLS13).build().unwrap();
    let ends = Pair::new(&client, &server().build().unwrap()).run().established();
    assert_eq!(ends.client.negotiated().group(), Some(NamedGroup::X25519));
}

#[test]
fn where_the_suites_rule_out_the_certificate_only_the_schemes_that_are_left_are_named() {
    let hello = Hello {
        suites: vec![0xc0, 0x2f],
        ..client_hello()
    };
    let error = answer_of(server(), &hello).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("rsa_pss") && !text.contains("ecdsa"), "{text}");
}

#[test]
fn a_configuration_that_leaves_no_version_is_refused() {
    let hybrid = [NamedGroup::X25519MLKEM768];
    assert!(client().groups(hybrid).only(TLS12).build().is_err());
    // With both versions there is still TLS 1.3.
    let (_, hello) = hello_of(client().groups(hybrid));
    assert_eq!(hello.extension(SUPPORTED_VERSIONS), [2, 3, 4]);
}

#[test]
fn a_client_of_tls12_alone_offers_nothing_of_tls13() {
    let hello = client_hello();
    for extension in [SUPPORTED_VERSIONS, 51, 45, 44] {
        assert!(
            hello.extensions.iter().all(|(of, _)| *of != extension),
            "{extension}"
        );
    }
    assert!(
        hello
            .suites
            .chunks(2)
            .all(|suite| suite[0] == 0xc0 || suite[0] == 0xcc)
    );
    let groups = hello.extension(10);
    assert!(
        groups[2..].chunks(2).all(|group| group != [0x11, 0xec]),
        "{groups:?}"
    );
}

#[test]
fn a_server_may_warn_before_its_hello_that_it_does_not_know_the_name() {
    let (mut driver, _) = hello_of(client());
    driver.receive(&record(21, &[1, 112]));
    driver.receive(&Hello::server12().record());
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
}
