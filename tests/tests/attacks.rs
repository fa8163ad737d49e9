//! Attacks on TLS of the past that no other test is about, and the list of all: `docs/ATTACKS.md` names tests, and each of
//! them is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;

use tls_core::{AlertDescription, Driver, ErrorKind, ProtocolVersion, Side};
use tls_tests::both_versions;
use tls_tests::hello::{Hello, record, records};
use tls_tests::pair::{NAME, Pair, client, deliver, name, server};
use tls_tests::source::{Token, tokens, workspace};
use tls_tests::versions::Only;

type A = AlertDescription;

both_versions!(
    a_side_that_gets_its_own_words_back_refuses_them,
    a_heartbeat_is_refused_at_any_time,
    no_old_suite_is_taken,
);

const TLS12: ProtocolVersion = ProtocolVersion::TLS12;

/// Suites of attacks: no encryption, export, RC4, 3DES and IDEA, CBC with SHA-1 and SHA-2, static RSA also with GCM, finite
/// fields, anonymous, static ECDH, PSK, SRP, CCM with a short tag.
const OLD: [u16; 28] = [
    0x0000, 0x0001, 0x0002, 0x003b, 0xc006, // NULL
    0x0003, 0x0008, 0x0014, // EXPORT
    0x0004, 0x0005, 0xc007, 0xc011, // RC4
    0x0007, 0x0009, 0x000a, 0xc008, // IDEA, DES, 3DES
    0x002f, 0x003c, 0xc009, 0xc023, // CBC
    0x009c, // RSA
    0x0033, 0x009e, // DHE
    0x0018, 0xc018, // anonymous
    0xc02d, // ECDH
    0x008c, // PSK
    0xc0ae, // CCM_8
];

fn first_flight(version: ProtocolVersion) -> (Driver, Hello) {
    let mut driver = Driver::client(&client().only(version).build().unwrap(), name(NAME));
    driver.advance().unwrap();
    let hello = Hello::parse(&driver.transmit());
    (driver, hello)
}

/// A reflection, as Selfie is one: nothing that one side says is what it waits for.
fn a_side_that_gets_its_own_words_back_refuses_them(version: ProtocolVersion) {
    let config = client().only(version).build().unwrap();
    let mut driver = Driver::client(&config, name(NAME));
    driver.advance().unwrap();
    let hello = driver.transmit();
    driver.receive(&hello);
    let error = driver.advance().unwrap_err();
    assert_eq!(error.alert(), Some(A::UNEXPECTED_MESSAGE), "{error}");

    let mut driver = Driver::server(&server().only(version).build().unwrap());
    driver.receive(&hello);
    driver.advance().unwrap();
    let flight = driver.transmit();
    driver.receive(&flight);
    let error = driver.advance().unwrap_err();
    // In TLS 1.3 the client's key is in force by then.
    let alert = match version {
        TLS12 => A::UNEXPECTED_MESSAGE,
        _ => A::BAD_RECORD_MAC,
    };
    assert_eq!(error.alert(), Some(alert), "{error}");

    // And data, which the other direction has another key for.
    let server = server().only(version).build().unwrap();
    for side in [Side::Client, Side::Server] {
        let ends = Pair::new(&config, &server).run().established();
        let mut end = match side {
            Side::Client => ends.client,
            Side::Server => ends.server,
        };
        let tickets = end.writer.pending().len();
        end.writer.sent(tickets);
        end.writer.write(b"an echo").unwrap();
        let sent = end.writer.pending().to_vec();
        let error = deliver(&mut end, &sent, usize::MAX, &mut Vec::new()).unwrap_err();
        assert_eq!(error.alert(), Some(A::BAD_RECORD_MAC), "{side:?}: {error}");
    }
}

/// Heartbleed: a request that asks for more than it brought (RFC 6520).
fn a_heartbeat_is_refused_at_any_time(version: ProtocolVersion) {
    let heartbeat = record(24, &[1, 0x40, 0, 7]);
    let (client, server) = (client().only(version), server().only(version));
    let (client, server) = (client.build().unwrap(), server.build().unwrap());
    for (sender, refuser) in [(Side::Client, Side::Server), (Side::Server, Side::Client)] {
        // After the first message: before it, it is not even TLS.
        let outcome = Pair::new(&client, &server)
            .mutated(|from, flight, bytes| {
                if (from, flight) == (sender, 0) {
                    let first = 5 + records(bytes)[0].1.len();
                    bytes.splice(first..first, heartbeat.iter().copied());
                }
            })
            .run();
        let error = outcome.refused_by(refuser, A::UNEXPECTED_MESSAGE);
        assert!(!matches!(error.kind(), ErrorKind::NotTls { .. }), "{error}");

        let ends = Pair::new(&client, &server).run().established();
        let mut end = match refuser {
            Side::Client => ends.client,
            Side::Server => ends.server,
        };
        let error = deliver(&mut end, &heartbeat, usize::MAX, &mut Vec::new()).unwrap_err();
        assert_eq!(error.alert(), Some(A::UNEXPECTED_MESSAGE), "{error}");
    }
    // The extension is not offered, and a server does not answer it.
    let (_, hello) = first_flight(version);
    assert!(hello.extensions.iter().all(|(of, _)| *of != 15));
    let mut driver = Driver::server(&server);
    driver.receive(&hello.with(15, &[1]).record());
    driver.advance().unwrap();
    let answer = Hello::parse_server(&driver.transmit());
    assert!(answer.extensions.iter().all(|(of, _)| *of != 15));
}

/// POODLE, BEAST, Lucky Thirteen, Sweet32, RC4, FREAK, Logjam, ROBOT, Raccoon: each needs a suite that is not there.
fn no_old_suite_is_taken(version: ProtocolVersion) {
    let (_, hello) = first_flight(version);
    let refused = |suites: Vec<u8>| {
        let hello = Hello {
            suites,
            ..hello.clone()
        };
        let mut driver = Driver::server(&server().only(version).build().unwrap());
        driver.receive(&hello.record());
        let error = driver.advance().unwrap_err();
        assert_eq!(error.alert(), Some(A::HANDSHAKE_FAILURE), "{error}");
        assert!(matches!(error.kind(), ErrorKind::NothingInCommon(_)), "{error}");
    };
    refused(OLD.iter().flat_map(|suite| suite.to_be_bytes()).collect());
    for suite in OLD {
        refused(suite.to_be_bytes().to_vec());
        let (mut driver, hello) = first_flight(version);
        let mut answer = match version {
            TLS12 => Hello::server12(),
            _ => Hello::server_for(&hello),
        };
        answer.suites = suite.to_be_bytes().to_vec();
        driver.receive(&answer.record());
        let error = driver.advance().unwrap_err();
        assert_eq!(error.alert(), Some(A::ILLEGAL_PARAMETER), "{suite:04x}: {error}");
    }
}

#[test]
fn what_a_client_offers_has_nothing_that_was_broken() {
    // AEAD with (EC)DHE, and the signal of RFC 5746.
    let good: BTreeSet<u16> = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0x00ff,
    ]
    .into();
    let mut driver = Driver::client(&client().build().unwrap(), name(NAME));
    driver.advance().unwrap();
    let hello = Hello::parse(&driver.transmit());
    let numbers = |bytes: &[u8]| -> BTreeSet<u16> {
        bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect()
    };
    let offered = numbers(&hello.suites);
    assert!(offered.is_subset(&good) && offered.len() >= 9, "{offered:04x?}");
    assert_eq!(hello.compression, [0]);
    assert_eq!(numbers(&hello.extension(43)[1..]), [0x0303, 0x0304].into());
    // No finite fields, no curve of less than 256 bits, none that the peer makes up.
    let groups = numbers(&hello.extension(10)[2..]);
    assert_eq!(groups, [23, 24, 25, 29, 0x11ec].into());
    // No MD5, SHA-1 or SHA-224, no DSA.
    let schemes = numbers(&hello.extension(13)[2..]);
    assert!(
        schemes.iter().all(|scheme| matches!(scheme >> 8, 4..=6 | 8)),
        "{schemes:04x?}"
    );
    assert!(schemes.iter().all(|scheme| scheme & 0xff != 2), "{schemes:04x?}");
}

/// DROWN and its like: SSL 2.0, which has records of its own, and hellos of versions before TLS 1.2.
#[test]
fn older_protocols_are_not_spoken_however_they_are_asked_for() {
    let config = server().build().unwrap();
    let ssl2 = [
        0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80, 2, 0, 0x80, 3, 0, 0x80,
    ];
    let mut driver = Driver::server(&config);
    driver.receive(&ssl2);
    let error = driver.advance().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotTls { .. }), "{error}");
    assert!(driver.transmit().is_empty());

    let (_, hello) = first_flight(TLS12);
    for version in [[2, 0], [3, 0], [3, 1], [3, 2]] {
        let mut driver = Driver::server(&config);
        driver.receive(
            &Hello {
                version,
                ..hello.clone()
            }
            .record(),
        );
        let error = driver.advance().unwrap_err();
        assert_eq!(error.alert(), Some(A::PROTOCOL_VERSION), "{version:?}: {error}");
        let (mut driver, _) = first_flight(TLS12);
        driver.receive(
            &Hello {
                version,
                ..Hello::server12()
            }
            .record(),
        );
        let error = driver.advance().unwrap_err();
        assert_eq!(error.alert(), Some(A::PROTOCOL_VERSION), "{version:?}: {error}");
    }
}

// ---- the list

const LIST: &str = "docs/ATTACKS.md";

/// The tests that a row of the table names, each with its file; an error says what is wrong with the row.
fn tests_of(row: &str) -> Result<Vec<(&str, &str)>, String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [attack, reason, tests] = cells[..] else {
        return Err(format!("{} cells: {row}", cells.len()));
    };
    if attack.is_empty() || reason.is_empty() {
        return Err(format!("an empty cell: {row}"));
    }
    let mut found = Vec::new();
    for (number, piece) in tests.split('`').enumerate() {
        if number % 2 == 0 {
            continue;
        }
        let (file, name) = piece
            .split_once(": ")
            .ok_or_else(|| format!("not a file and a test: {piece}"))?;
        found.push((file, name));
    }
    match found.is_empty() {
        true => Err(format!("{attack} has no test")),
        false => Ok(found),
    }
}

/// The rows of all tables of the list, without their heads.
fn rows(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines
        .filter(|line| !line.starts_with("| ---") && !line.starts_with("| attack "))
        .collect()
}

/// Whether this is the name of a test here: of a function with the attribute, or in a list of a macro that makes tests.
fn is_test(tokens: &[Token], name: &str) -> bool {
    const MAKERS: [&str; 2] = ["both_versions", "laws"];
    let mut maker = false;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += usize::from(maker),
            ")" | "]" | "}" if maker => {
                depth -= 1;
                maker = depth > 0;
            }
            "!" if depth == 0 => maker = at > 0 && MAKERS.iter().any(|name| tokens[at - 1].is(name)),
            "fn" if tokens.get(at + 1).is_some_and(|next| next.is(name))
                && has_test_attribute(&tokens[..at]) =>
            {
                return true;
            }
            _ => {}
        }
        let is_item = tokens
            .get(at + 1)
            .is_some_and(|next| [",", ")", "("].iter().any(|end| next.is(end)));
        if maker && depth == 1 && token.is(name) && is_item {
            return true;
        }
    }
    false
}

/// Whether what ends before the `fn` is an attribute of a test, perhaps with others behind it.
fn has_test_attribute(before: &[Token]) -> bool {
    let mut rest = match before {
        [rest @ .., last] if last.is("async") => rest,
        _ => before,
    };
    while rest.last().is_some_and(|last| last.is("]")) {
        let start = rest.iter().rposition(|token| token.is("#")).unwrap();
        if rest[start..].iter().any(|token| token.is("test")) {
            return true;
        }
        rest = &rest[..start];
    }
    false
}

fn mistakes(list: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut mistakes = Vec::new();
    for row in rows(list) {
        match tests_of(row) {
            Err(mistake) => mistakes.push(mistake),
            Ok(tests) => {
                for (file, name) in tests {
                    match read(file) {
                        None => mistakes.push(format!("there is no file {file}")),
                        Some(source) if !is_test(&tokens(&source), name) => {
                            mistakes.push(format!("{file} has no test {name}"));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }
    mistakes
}

#[test]
fn every_attack_of_the_list_names_tests_that_exist() {
    let list = std::fs::read_to_string(workspace().join(LIST)).unwrap();
    let read = |file: &str| std::fs::read_to_string(workspace().join(file)).ok();
    assert_eq!(mistakes(&list, read), [""; 0]);
    let count = rows(&list).len();
    assert!(count >= 50, "only {count} attacks");
}

#[test]
fn a_test_that_is_not_there_is_found_in_the_list() {
    let source = r#"
        both_versions!(
            in_both_versions,
            also_in_both,
        );
        fn in_both_versions(version: ProtocolVersion) { no_test_at_all!(); }
        #[test]
        #[should_panic]
        fn with_attribute() { called(1); }
        #[tokio::test(start_paused = true)]
        async fn on_tokio() {}
        fn helper() {}
        // #[test] fn in_a_comment() {}
        laws! { of_a_message(values::of_a_message); }
    "#;
    let read = |file: &str| (file == "a.rs").then(|| source.to_owned());
    let row = |test: &str| {
        mistakes(
            &format!("| attack | why | tests |\n| --- | --- | --- |\n| X | no | {test} |"),
            read,
        )
    };
    for name in [
        "in_both_versions",
        "also_in_both",
        "with_attribute",
        "on_tokio",
        "of_a_message",
    ] {
        assert_eq!(row(&format!("`a.rs: {name}`")), [""; 0], "{name}");
    }
    for name in [
        "helper",
        "in_a_comment",
        "called",
        "in_both",
        "no_test_at_all",
        "values",
        "version",
    ] {
        assert_eq!(
            row(&format!("`a.rs: with_attribute`, `a.rs: {name}`")),
            [format!("a.rs has no test {name}")]
        );
    }
    assert_eq!(row("`b.rs: with_attribute`"), ["there is no file b.rs"]);
    assert_eq!(row("`with_attribute`"), ["not a file and a test: with_attribute"]);
    assert_eq!(row("none"), ["X has no test"]);
    assert_eq!(mistakes("| X | no |", read), ["2 cells: | X | no |"]);
    assert_eq!(
        mistakes("| X | | `a.rs: with_attribute` |", read),
        ["an empty cell: | X | | `a.rs: with_attribute` |"]
    );
}
