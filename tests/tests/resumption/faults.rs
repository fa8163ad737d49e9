//! Peers that get resumption wrong, and how they are refused.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tls_core::{
    AlertDescription, CipherSuite, ClientConfig, Driver, Error, ErrorKind, NamedGroup, Progress,
    RotatingTicketKeys, ServerConfig, Side,
};
use tls_tests::hello::{Hello, records};
use tls_tests::pair::{self, Became, Outcome, Pair, name};

use crate::{Bag, NAME, PRE_SHARED_KEY, client, first_flight, meet, offers_psk, server};

type A = AlertDescription;

const PSK_KEY_EXCHANGE_MODES: u16 = 45;
const KEY_SHARE: u16 = 51;

/// A client with a ticket of this server.
fn acquainted() -> (Arc<Bag>, ClientConfig, ServerConfig) {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    (bag, client, server)
}

/// What the server says to this flight of a client: whether it resumes, or its error, whose alert was sent.
fn says(server: &ServerConfig, flight: &[u8]) -> Result<bool, Error> {
    let mut driver = Driver::server(server);
    driver.receive(flight);
    let progress = driver.advance();
    let answer = driver.transmit();
    match progress {
        Ok(progress) => {
            assert_eq!(progress, Progress::Waiting);
            Ok(offers_psk(&Hello::parse_server(&answer)))
        }
        Err(error) => {
            assert_eq!(records(&answer), [(21, vec![2, error.alert().unwrap().0])]);
            Err(error)
        }
    }
}

fn refuses(server: &ServerConfig, flight: &[u8], alert: AlertDescription) {
    let error = says(server, flight).expect_err("it must be refused");
    assert_eq!(error.alert(), Some(alert), "{error}");
}

#[test]
fn any_wrong_bit_of_a_binder_is_a_decrypt_error() {
    let (_, client, server) = acquainted();
    let mut flight = first_flight(&client);
    assert!(says(&server, &flight).unwrap());
    for bit in 0..32 * 8 {
        let place = flight.len() - 32 + bit / 8;
        flight[place] ^= 1 << (bit % 8);
        refuses(&server, &flight, A::DECRYPT_ERROR);
        flight[place] ^= 1 << (bit % 8);
    }
    assert!(says(&server, &flight).unwrap());
}

#[test]
fn a_binder_covers_all_of_the_hello_before_it() {
    let (_, client, server) = acquainted();
    let flight = first_flight(&client);
    let hello = Hello::parse(&flight);
    let mut random = hello.clone();
    random.random[0] ^= 1;
    refuses(&server, &random.record(), A::DECRYPT_ERROR);
    let mut fewer = hello.clone();
    fewer.suites.truncate(fewer.suites.len() - 2);
    refuses(&server, &fewer.record(), A::DECRYPT_ERROR);
    // The age, within what is tolerated: the last four bytes before the binders.
    let mut aged = hello.extension(PRE_SHARED_KEY).to_vec();
    let end = aged.len() - 2 - 33;
    let age = u32::from_be_bytes(aged[end - 4..end].try_into().unwrap());
    aged[end - 4..end].copy_from_slice(&age.wrapping_add(1).to_be_bytes());
    refuses(
        &server,
        &hello.with(PRE_SHARED_KEY, &aged).record(),
        A::DECRYPT_ERROR,
    );
}

#[test]
fn a_client_whose_binder_was_refused_forgets_its_sessions() {
    let (bag, client, server) = acquainted();
    let outcome = Pair::new(&client, &server)
        .mutated(|sender, number, bytes| {
            if (sender, number) == (Side::Client, 0) {
                *bytes.last_mut().unwrap() ^= 1;
            }
        })
        .run();
    let _ = outcome.refused_by(Side::Server, A::DECRYPT_ERROR);
    assert_eq!((bag.removals.load(Relaxed), bag.len()), (1, 0));
    assert!(!meet(&client, &server, &bag));
    assert!(meet(&client, &server, &bag));
}

#[test]
fn a_transport_that_ends_in_the_middle_costs_one_ticket_and_no_more() {
    let (bag, client, _) = acquainted();
    let left = bag.len();
    let mut driver = Driver::client(&client, name(NAME));
    driver.advance().unwrap();
    assert!(!driver.transmit().is_empty());
    driver.eof();
    assert!(matches!(
        driver.advance().unwrap_err().kind(),
        ErrorKind::Truncated
    ));
    assert_eq!((bag.removals.load(Relaxed), bag.len()), (0, left - 1));
}

#[test]
fn the_binder_of_a_second_hello_is_checked_too() {
    let keys = Arc::new(RotatingTicketKeys::new());
    let server = |group| {
        let server = pair::server().ticket_keys(keys.clone()).groups([group]);
        server.build().unwrap()
    };
    let bag = Bag::new();
    let client = pair::client()
        .session_cache(bag.clone())
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
        .key_shares([NamedGroup::X25519])
        .build()
        .unwrap();
    assert!(!meet(&client, &server(NamedGroup::X25519), &bag));
    let outcome = Pair::new(&client, &server(NamedGroup::SECP256R1))
        .mutated(|sender, number, bytes| {
            if (sender, number) == (Side::Client, 1) {
                *bytes.last_mut().unwrap() ^= 1;
            }
        })
        .run();
    let _ = outcome.refused_by(Side::Server, A::DECRYPT_ERROR);
}

#[test]
fn malformed_offers_are_refused() {
    let (_, client, server) = acquainted();
    let hello = Hello::parse(&first_flight(&client));
    let psk = hello.extension(PRE_SHARED_KEY).to_vec();
    let binders = psk.len() - 2 - 33;
    let with = |psk: &[u8]| hello.clone().with(PRE_SHARED_KEY, psk).record();

    let mut two_binders = psk[..binders].to_vec();
    two_binders.extend([0, 66]);
    two_binders.extend(&psk[binders + 2..]);
    two_binders.extend(&psk[binders + 2..]);
    refuses(&server, &with(&two_binders), A::ILLEGAL_PARAMETER);
    let identities = usize::from(u16::from_be_bytes([psk[0], psk[1]]));
    let mut two_identities = u16::try_from(2 * identities).unwrap().to_be_bytes().to_vec();
    two_identities.extend(&psk[2..binders]);
    two_identities.extend(&psk[2..]);
    refuses(&server, &with(&two_identities), A::ILLEGAL_PARAMETER);
    let mut no_binder = psk[..binders].to_vec();
    no_binder.extend([0, 0]);
    refuses(&server, &with(&no_binder), A::DECODE_ERROR);
    refuses(&server, &with(&psk[..binders]), A::DECODE_ERROR);

    let mut not_last = hello.clone();
    not_last.extensions.rotate_right(1);
    refuses(&server, &not_last.record(), A::ILLEGAL_PARAMETER);

    let no_modes = hello.without(PSK_KEY_EXCHANGE_MODES).record();
    refuses(&server, &no_modes, A::MISSING_EXTENSION);
}

#[test]
fn a_client_that_wants_no_key_exchange_is_not_resumed() {
    let (_, client, server) = acquainted();
    let hello = Hello::parse(&first_flight(&client));
    for modes in [&[1, 0][..], &[1, 7]] {
        let flight = hello.clone().with(PSK_KEY_EXCHANGE_MODES, modes).record();
        assert!(!says(&server, &flight).unwrap(), "{modes:?}");
    }
}

#[test]
fn a_ticket_of_the_wrong_suite_s_hash_is_not_looked_at_twice() {
    // Its binder is of the other hash; that it is wrong here does not matter, since the ticket is not used.
    let (_, client, _) = acquainted();
    let keys = Arc::new(RotatingTicketKeys::new());
    let suite = [CipherSuite::TLS_AES_256_GCM_SHA384];
    let other = pair::server().ticket_keys(keys).cipher_suites(suite);
    let mut flight = first_flight(&client);
    *flight.last_mut().unwrap() ^= 1;
    assert!(!says(&other.build().unwrap(), &flight).unwrap());
}

/// A handshake whose ServerHello is changed, and comes alone.
fn answered(client: &ClientConfig, server: &ServerConfig, change: impl Fn(Hello) -> Hello) -> Outcome {
    Pair::new(client, server)
        .mutated(|sender, number, bytes| {
            if (sender, number) == (Side::Server, 0) {
                *bytes = change(Hello::parse_server(bytes)).record();
            }
        })
        .run()
}

#[test]
fn a_server_may_only_choose_what_was_offered() {
    type Change = fn(Hello) -> Hello;
    let changes: [(Change, AlertDescription); 5] = [
        (|hello| hello.with(PRE_SHARED_KEY, &[0, 1]), A::ILLEGAL_PARAMETER),
        (
            |hello| hello.with(PRE_SHARED_KEY, &[255, 255]),
            A::ILLEGAL_PARAMETER,
        ),
        (
            |mut hello| {
                hello.suites = vec![0x13, 0x02];
                hello
            },
            A::ILLEGAL_PARAMETER,
        ),
        (|hello| hello.without(KEY_SHARE), A::MISSING_EXTENSION),
        (|hello| hello.with(PRE_SHARED_KEY, &[0]), A::DECODE_ERROR),
    ];
    for (change, alert) in changes {
        let (bag, client, server) = acquainted();
        let _ = answered(&client, &server, |hello| {
            assert!(offers_psk(&hello));
            assert_eq!(hello.suites, [0x13, 0x01]);
            change(hello)
        })
        .refused_by(Side::Client, alert);
        assert_eq!((bag.removals.load(Relaxed), bag.len()), (1, 0));
    }
    // A client without a ticket, and one without a cache.
    let with_psk = |hello: Hello| hello.with(PRE_SHARED_KEY, &[0, 0]);
    for client in [client(&Bag::new()), pair::client().build().unwrap()] {
        let _ = answered(&client, &server(), with_psk).refused_by(Side::Client, A::UNSUPPORTED_EXTENSION);
    }
}

#[test]
fn a_server_that_does_not_have_the_secret_cannot_resume() {
    // It says that it resumes, and goes on with the keys of a full handshake.
    let (bag, client, _) = acquainted();
    let with_psk = |hello: Hello| hello.with(PRE_SHARED_KEY, &[0, 0]);
    let outcome = Pair::new(&client, &server())
        .mutated(|sender, number, bytes| {
            if (sender, number) == (Side::Server, 0) {
                let first = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
                let mut changed = with_psk(Hello::parse_server(bytes)).record();
                changed.extend(&bytes[first..]);
                *bytes = changed;
            }
        })
        .run();
    // The server cannot read the alert: they have no keys in common.
    let Became::Failed(error) = outcome.client else {
        panic!("{:?}", outcome.client)
    };
    assert_eq!(error.alert(), Some(A::BAD_RECORD_MAC));
    assert_eq!(bag.removals.load(Relaxed), 1);
}
