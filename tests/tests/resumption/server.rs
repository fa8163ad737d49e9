//! When a server resumes: what is bound, how old a ticket may be, which keys open it.

use std::sync::Arc;
use std::time::Duration;

use tls_core::{
    CipherSuite, ClientConfig, ClientConfigBuilder, ClientSession, Driver, NamedGroup, NoSessions, Progress,
    RotatingTicketKeys, ServerConfig, ServerConfigBuilder, TicketKey,
};
use tls_tests::hello::{Hello, records};
use tls_tests::pair::{self, Pair};
use tls_tests::session;

use crate::{Bag, Time, client, client_hellos, first_flight, is_resumed, keep, meet, offers_psk, server};

const AES128: CipherSuite = CipherSuite::TLS_AES_128_GCM_SHA256;
const AES256: CipherSuite = CipherSuite::TLS_AES_256_GCM_SHA384;
const CHACHA: CipherSuite = CipherSuite::TLS_CHACHA20_POLY1305_SHA256;

/// Both with the same ticket keys as the other servers that were made with them.
fn server_with(keys: &Arc<RotatingTicketKeys>) -> ServerConfigBuilder {
    pair::server().ticket_keys(keys.clone())
}

fn client_with(bag: &Arc<Bag>) -> ClientConfigBuilder {
    pair::client().session_cache(bag.clone())
}

#[test]
fn a_session_is_resumed_with_any_suite_of_the_same_hash_and_no_other() {
    for first in [AES128, AES256, CHACHA] {
        for second in [AES128, AES256, CHACHA] {
            let (bag, server) = (Bag::new(), server());
            let at_first = client_with(&bag).cipher_suites([first]).build().unwrap();
            assert!(!meet(&at_first, &server, &bag));
            let then = client_with(&bag).cipher_suites([second]).build().unwrap();
            let same_hash = (first == AES256) == (second == AES256);
            assert_eq!(meet(&then, &server, &bag), same_hash, "{first} and then {second}");
        }
    }
}

#[test]
fn a_server_that_chooses_a_suite_of_another_hash_does_not_resume() {
    let keys = Arc::new(RotatingTicketKeys::new());
    let servers = [[AES128], [AES256]].map(|suite| server_with(&keys).cipher_suites(suite).build().unwrap());
    for first in 0..2 {
        let bag = Bag::new();
        let client = client(&bag);
        assert!(!meet(&client, &servers[first], &bag));
        let outcome = Pair::new(&client, &servers[1 - first]).run();
        assert!(offers_psk(&client_hellos(&outcome)[0]));
        assert!(!is_resumed(&mut outcome.established()));
    }
}

fn groups(keys: &Arc<RotatingTicketKeys>, group: NamedGroup, suite: CipherSuite) -> ServerConfig {
    server_with(keys)
        .groups([group])
        .cipher_suites([suite])
        .build()
        .unwrap()
}

fn retried_client(bag: &Arc<Bag>) -> ClientConfig {
    client_with(bag)
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
        .key_shares([NamedGroup::X25519])
        .build()
        .unwrap()
}

#[test]
fn a_session_is_resumed_after_a_hello_retry_request() {
    let keys = Arc::new(RotatingTicketKeys::new());
    for suite in [AES128, AES256] {
        let bag = Bag::new();
        let client = retried_client(&bag);
        let (plain, retrying) = (
            groups(&keys, NamedGroup::X25519, suite),
            groups(&keys, NamedGroup::SECP256R1, suite),
        );
        assert!(!meet(&client, &plain, &bag));
        for (chunk, server) in [(usize::MAX, &retrying), (3, &retrying), (usize::MAX, &plain)] {
            let outcome = Pair::new(&client, server).in_chunks_of(chunk).run();
            let hellos = client_hellos(&outcome);
            assert!(hellos.iter().all(offers_psk));
            let mut ends = outcome.established();
            keep(&client, &mut ends, &bag);
            let retried = ends.client.negotiated().had_hello_retry_request();
            assert_eq!(retried, core::ptr::eq(server, &retrying));
            assert_eq!(hellos.len(), 1 + usize::from(retried));
            assert!(is_resumed(&mut ends));
        }
    }
}

#[test]
fn a_hello_retry_request_with_another_hash_takes_the_ticket_off_the_table() {
    let keys = Arc::new(RotatingTicketKeys::new());
    for (first, second) in [(AES128, AES256), (AES256, AES128)] {
        let bag = Bag::new();
        let client = retried_client(&bag);
        assert!(!meet(&client, &groups(&keys, NamedGroup::X25519, first), &bag));
        let outcome = Pair::new(&client, &groups(&keys, NamedGroup::SECP256R1, second)).run();
        let offered: Vec<_> = client_hellos(&outcome).iter().map(offers_psk).collect();
        assert_eq!(offered, [true, false]);
        assert!(!is_resumed(&mut outcome.established()));
    }
}

#[test]
fn a_session_is_bound_to_its_server_name() {
    for had_name in [true, false] {
        let (bag, server) = (Bag::new(), server());
        let configs = [had_name, !had_name].map(|sends| {
            let config = client_with(&bag).send_server_name(sends);
            config.build().unwrap()
        });
        assert!(!meet(&configs[0], &server, &bag));
        assert!(meet(&configs[0], &server, &bag));
        let outcome = Pair::new(&configs[1], &server).run();
        assert!(offers_psk(&client_hellos(&outcome)[0]));
        assert!(!is_resumed(&mut outcome.established()));
    }
}

#[test]
fn a_session_is_bound_to_its_application_protocol() {
    let keys = Arc::new(RotatingTicketKeys::new());
    let servers = [&["a"][..], &["b"], &["b", "a"], &[]]
        .map(|names| server_with(&keys).alpn(names.iter().copied()).build().unwrap());
    for (first, second, resumes) in [
        (0, 0, true),
        (0, 1, false),
        (0, 2, false),
        (1, 2, true),
        (0, 3, false),
        (3, 0, false),
        (3, 3, true),
    ] {
        let bag = Bag::new();
        let client = client_with(&bag).alpn(["a", "b"]).build().unwrap();
        assert!(!meet(&client, &servers[first], &bag));
        assert_eq!(
            meet(&client, &servers[second], &bag),
            resumes,
            "{first}, then {second}"
        );
    }
}

/// The same session with another lifetime, in seconds; it must be one of a suite with SHA-256.
fn with_lifetime(session: &ClientSession, lifetime: u32) -> ClientSession {
    let mut bytes = session::write(session);
    let place = 4 + 1 + 1 + 2 + 2 + 33 + 8 + 8;
    bytes[place..place + 4].copy_from_slice(&lifetime.to_be_bytes());
    let session = session::read(bytes);
    assert_eq!(session.lifetime(), lifetime);
    session
}

#[test]
fn an_expired_ticket_is_not_offered_and_if_it_is_it_is_not_taken() {
    for (age, resumes) in [(99, true), (100, false), (101, false)] {
        for believes_in_it in [false, true] {
            let (bag, time) = (Bag::new(), Time::now());
            let server = pair::server()
                .clock(time.clock())
                .session_lifetime(Duration::from_secs(100))
                .cipher_suites([AES128])
                .build()
                .unwrap();
            let client = client_with(&bag).clock(time.clock()).build().unwrap();
            assert!(!meet(&client, &server, &bag));
            if believes_in_it {
                bag.hold(&client, with_lifetime(&bag.newest(), 604_800));
            }
            time.move_by(age);
            let outcome = Pair::new(&client, &server).run();
            let offered = offers_psk(&client_hellos(&outcome)[0]);
            assert_eq!(offered, believes_in_it || resumes, "{age}");
            assert_eq!(is_resumed(&mut outcome.established()), resumes, "{age}");
        }
    }
}

#[test]
fn both_sides_must_agree_on_the_age_of_a_ticket_to_a_minute() {
    for (client_moves, server_moves, resumes) in [
        (0, 60, true),
        (0, 61, false),
        (60, 0, true),
        (61, 0, false),
        (5000, 5060, true),
        (5061, 5000, false),
        // Set back: the age is that of a new ticket, and no session is from more than a minute in the future.
        (0, -60, true),
        (-60, 0, true),
        (61, -60, false),
        (0, -61, false),
    ] {
        let bag = Bag::new();
        let (ours, theirs) = (Time::now(), Time::now());
        let server = pair::server().clock(theirs.clock()).build().unwrap();
        let client = client_with(&bag).clock(ours.clock()).build().unwrap();
        assert!(!meet(&client, &server, &bag));
        ours.move_by(client_moves);
        theirs.move_by(server_moves);
        let outcome = Pair::new(&client, &server).run();
        assert!(offers_psk(&client_hellos(&outcome)[0]));
        assert_eq!(
            is_resumed(&mut outcome.established()),
            resumes,
            "client {client_moves} s, server {server_moves} s"
        );
    }
}

#[test]
fn a_server_without_tickets_gives_none_and_takes_none() {
    let keys = Arc::new(RotatingTicketKeys::new());
    let bag = Bag::new();
    let client = client(&bag);
    let without = server_with(&keys).tickets(0).build().unwrap();
    assert!(!meet(&client, &without, &bag));
    assert_eq!(bag.len(), 0);

    let with = server_with(&keys).tickets(3).build().unwrap();
    assert!(!meet(&client, &with, &bag));
    assert_eq!(bag.len(), 3);
    assert!(!meet(&client, &without, &bag));

    let no_keys = pair::server().ticket_keys(Arc::new(NoSessions)).build().unwrap();
    let bag = Bag::new();
    let client = crate::client(&bag);
    assert!(!meet(&client, &no_keys, &bag));
    assert_eq!(bag.len(), 0);
}

#[test]
fn a_client_without_a_cache_gets_no_tickets() {
    let client = pair::client().build().unwrap();
    let mut ends = Pair::new(&client, &server()).run().established();
    assert!(!ends.client.reader.has_buffered());
    ends.check(b"data");
}

#[test]
fn tickets_outlive_two_rotations_of_their_key_and_a_reload_but_no_third_and_no_retirement() {
    let time = Time::now();
    let day = Duration::from_secs(86_400);
    let keys = || {
        let keys = RotatingTicketKeys::new().with_rotation(Duration::from_secs(1000));
        Arc::new(keys.with_clock(time.clock()))
    };
    let server = |keys: &Arc<RotatingTicketKeys>| {
        let server = server_with(keys).clock(time.clock()).session_lifetime(day);
        server.build().unwrap()
    };
    for (age, resumes) in [(999, true), (2999, true), (3000, false)] {
        let (bag, keys) = (Bag::new(), keys());
        let client = client_with(&bag).clock(time.clock()).build().unwrap();
        assert!(!meet(&client, &server(&keys), &bag));
        time.move_by(age);
        // Somebody else's handshakes rotate the keys meanwhile.
        let other = Bag::new();
        meet(&crate::client(&other), &server(&keys), &other);
        assert_eq!(meet(&client, &server(&keys), &bag), resumes, "{age}");
    }

    let (bag, keys) = (Bag::new(), keys());
    let client = client_with(&bag).clock(time.clock()).build().unwrap();
    let key = TicketKey::generate().unwrap();
    keys.add(key.clone());
    assert!(keys.promote(&key.id));
    assert!(!meet(&client, &server(&keys), &bag));
    assert!(meet(&client, &server(&keys), &bag));
    assert!(keys.retire(&key.id));
    assert!(!meet(&client, &server(&keys), &bag));
    assert!(meet(&client, &server(&keys), &bag), "with the next key");
}

/// Whether the server resumes what this client offers; it goes on in any case.
fn takes(client: &ClientConfig, server: &ServerConfig) -> bool {
    let flight = first_flight(client);
    assert!(offers_psk(&Hello::parse(&flight)));
    let mut driver = Driver::server(server);
    driver.receive(&flight);
    assert_eq!(driver.advance().unwrap(), Progress::Waiting);
    let answer = driver.transmit();
    assert_eq!(records(&answer)[0].0, 22);
    offers_psk(&Hello::parse_server(&answer))
}

/// The same session with another ticket.
fn with_ticket(session: &ClientSession, ticket: &[u8]) -> ClientSession {
    let bytes = session::write(session);
    let end = bytes.len() - 1 - session.ticket().len() - 2;
    let mut changed = bytes[..end].to_vec();
    changed.extend(u16::try_from(ticket.len()).unwrap().to_be_bytes());
    changed.extend(ticket);
    changed.push(0);
    session::read(changed)
}

#[test]
fn a_ticket_that_was_changed_cut_or_made_up_means_a_full_handshake() {
    let server = server();
    let bag = Bag::new();
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let session = bag.newest();
    let ticket = session.ticket().to_vec();
    let try_with = |ticket: &[u8]| {
        bag.hold(&client, with_ticket(&session, ticket));
        takes(&client, &server)
    };
    assert!(try_with(&ticket));
    let mut changed = ticket.clone();
    for bit in 0..ticket.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!try_with(&changed), "bit {bit}");
        changed[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 1..ticket.len() {
        assert!(!try_with(&ticket[..length]), "{length} bytes");
    }
    changed.push(0);
    assert!(!try_with(&changed));
    for made_up in [vec![0; 32], vec![255; ticket.len()], vec![7; 12_000]] {
        assert!(!try_with(&made_up));
    }
    // And all the way.
    changed[20] ^= 1;
    bag.hold(&client, with_ticket(&session, &changed));
    assert!(!meet(&client, &server, &bag));
    assert!(meet(&client, &server, &bag));
}

#[test]
fn another_server_s_ticket_means_a_full_handshake_and_the_others_are_forgotten() {
    let bag = Bag::new();
    let client = client(&bag);
    assert!(!meet(&client, &server(), &bag));
    assert_eq!(bag.len(), 2);
    let other = server();
    assert!(!meet(&client, &other, &bag));
    assert_eq!(bag.len(), 2, "those of the other server only");
    assert_eq!(bag.removals.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(meet(&client, &other, &bag));
}

#[test]
fn a_stored_session_is_resumed_once_and_an_unknown_one_not_at_all() {
    let server = pair::server()
        .session_store(crate::hooks::Store::new())
        .build()
        .unwrap();
    let bag = Bag::new();
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let session = bag.newest();
    assert_eq!(session.ticket().len(), 40, "no more than a name");
    assert!(meet(&client, &server, &bag));
    bag.hold(&client, session.clone());
    assert!(!meet(&client, &server, &bag), "it was used before");
    // The second is as long as a session id of TLS 1.2, which the store must not be asked for.
    for unknown in [&[9; 40][..], &[9; 32], &[9; 1], &[9; 5000]] {
        bag.hold(&client, with_ticket(&session, unknown));
        assert!(!meet(&client, &server, &bag));
    }
    let session = bag.newest();
    bag.hold(&client, session.clone());
    for bit in 0..32 * 8 {
        let mut id = session.ticket().to_vec();
        id[bit / 8] ^= 1 << (bit % 8);
        bag.hold(&client, with_ticket(&session, &id));
        assert!(!takes(&client, &server), "bit {bit}");
    }
    bag.hold(&client, session);
    assert!(meet(&client, &server, &bag), "the tries did it no harm");
}
