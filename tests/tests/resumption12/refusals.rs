//! Sessions that were tampered with, and answers that contradict them.

use super::*;

#[test]
fn a_session_with_extended_main_secret_is_not_resumed_without() {
    for by in BOTH {
        let cache = Arc::new(Held::default());
        let client = client()
            .session_cache(cache.clone())
            .allow_missing_extended_main_secret()
            .build()
            .unwrap();
        let server = server12(by).allow_missing_extended_main_secret().build().unwrap();
        full(&client, &server);
        let outcome = with_hello(&client, &server, Side::Client, |hello| {
            hello.without(EXTENDED_MAIN_SECRET)
        });
        let error = outcome.refused_by(Side::Server, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
        // The client has learned that the session is no good.
        full(&client, &server);
        // The server's answer contradicts the session.
        let outcome = with_hello(&client, &server, Side::Server, |hello| {
            hello.without(EXTENDED_MAIN_SECRET)
        });
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
        full(&client, &server);
        cache.change(|bytes| bytes[FLAGS] ^= 1);
        let error = Pair::new(&client, &server)
            .run()
            .refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("extended_main_secret"), "{error}");
    }
}

#[test]
fn a_session_without_extended_main_secret_is_not_resumed_with() {
    let store = Arc::new(Stored::default());
    let server = server()
        .only(ProtocolVersion::TLS12)
        .session_store(store.clone())
        .build()
        .unwrap();
    let client = client_with(&Arc::default());
    full(&client, &server);
    resumed(&client, &server);
    store.0.lock().unwrap()[0].1[FLAGS] ^= 1;
    full(&client, &server);
}

#[test]
fn every_flipped_bit_of_a_stored_session_does_no_harm() {
    let store = Arc::new(Stored::default());
    let server = server()
        .only(ProtocolVersion::TLS12)
        .session_store(store.clone())
        .build()
        .unwrap();
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    full(&client, &server);
    let (session, good) = (cache.get(), store.0.lock().unwrap()[0].1.clone());
    for bit in 0..good.len() * 8 {
        cache.set(session.clone());
        store.0.lock().unwrap()[0].1 = good.clone();
        store.0.lock().unwrap()[0].1[bit / 8] ^= 1 << (bit % 8);
        full(&client, &server);
    }
}

#[test]
fn a_session_is_bound_to_its_name() {
    let certified = certified_for(KeyType::P256, &[NAME, "other.test"]);
    for sends_name in [true, false] {
        let cache = Arc::new(Held::default());
        let client = client()
            .session_cache(cache.clone())
            .send_server_name(sends_name)
            .build()
            .unwrap();
        let server = ServerConfig::builder()
            .certificate(certified.clone())
            .only(ProtocolVersion::TLS12)
            .build()
            .unwrap();
        full(&client, &server);
        let session = cache.get();
        let ends = run(Pair::for_name(&client, &server, "other.test"), &client);
        assert!(
            !ends.client.negotiated().is_resumed(),
            "sends the name: {sends_name}"
        );
        cache.set(session);
        resumed(&client, &server);
    }
}

#[test]
fn every_forged_ticket_means_a_full_handshake() {
    let (cache, client, server) = with_session(By::Ticket);
    let good = cache.get();
    let length = good.ticket().len();
    let range = |bytes: &[u8]| bytes.len() - 1 - length..bytes.len() - 1;
    for bit in 0..length * 8 {
        cache.set(good.clone());
        cache.change(|bytes| {
            let start = range(bytes).start;
            bytes[start + bit / 8] ^= 1 << (bit % 8);
        });
        full(&client, &server);
    }
    for kept in 1..length {
        cache.set(good.clone());
        cache.change(|bytes| {
            let range = range(bytes);
            bytes.truncate(range.start - 2 + 2 + kept);
            bytes[range.start - 2..range.start].copy_from_slice(&(kept as u16).to_be_bytes());
            bytes.push(0);
        });
        assert_eq!(cache.get().ticket().len(), kept);
        full(&client, &server);
    }
    cache.set(good);
    resumed(&client, &server);
    // A ticket of another server.
    full(&client, &server12(By::Ticket).build().unwrap());
}

#[test]
fn an_unknown_session_id_means_a_full_handshake() {
    let (cache, client, server) = with_session(By::SessionId);
    cache.change(|bytes| *bytes.last_mut().unwrap() ^= 1);
    full(&client, &server);
    full(&client, &server12(By::SessionId).build().unwrap());
    assert_eq!(cache.removals.load(Relaxed), 2);
    // What one makes the other does not know.
    full(&client, &server12(By::Ticket).build().unwrap());
    full(&client, &server12(By::SessionId).build().unwrap());
}

#[test]
fn an_echo_of_a_session_id_without_a_session_is_refused() {
    for cache in [false, true] {
        let client = match cache {
            true => client_with(&Arc::default()),
            false => client().build().unwrap(),
        };
        let server = server12(By::SessionId).build().unwrap();
        let sent = Mutex::new(Vec::new());
        let outcome = Pair::new(&client, &server)
            .mutated(|sender, flight, bytes| match (sender, flight) {
                (Side::Client, 0) => *sent.lock().unwrap() = Hello::parse(bytes).session_id,
                (Side::Server, 0) => {
                    assert_eq!(sent.lock().unwrap().len(), 32);
                    // Type and length, version, random, length.
                    bytes[5 + 4 + 34 + 1..][..32].copy_from_slice(&sent.lock().unwrap());
                }
                _ => {}
            })
            .run();
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(error.to_string().contains("session_id"), "{error}");
    }
}

#[test]
fn a_resumed_server_hello_must_name_the_suite_of_the_session() {
    for by in BOTH {
        let (cache, client, server) = with_session(by);
        let outcome = with_hello(&client, &server, Side::Server, |mut hello| {
            assert_eq!(hello.suites, [0xc0, 0x2b]);
            hello.suites = vec![0xc0, 0x2c];
            hello
        });
        let error = outcome.refused_by(Side::Client, A::ILLEGAL_PARAMETER);
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Mismatch(_))),
            "{error}"
        );
        assert_eq!(cache.removals.load(Relaxed), 1);
    }
}

#[test]
fn a_ticket_that_was_not_promised_or_is_left_out_is_refused() {
    const TICKET: [u8; 11] = [4, 0, 0, 7, 0, 0, 0, 60, 0, 1, 9];
    let server = server12(By::Ticket).build().unwrap();
    let inserted = |client: &ClientConfig, remove: bool| {
        Pair::new(client, &server)
            .mutated(|sender, flight, bytes| {
                if (sender, flight) != (Side::Server, 1) {
                    return;
                }
                match remove {
                    true => {
                        let first = records(bytes)[0].1.len();
                        drop(bytes.drain(..5 + first));
                    }
                    false => drop(bytes.splice(0..0, record(22, &TICKET))),
                }
            })
            .run()
            .refused_by(Side::Client, A::UNEXPECTED_MESSAGE)
    };
    drop(inserted(&client().build().unwrap(), false));
    // Two.
    drop(inserted(&client_with(&Arc::default()), false));
    drop(inserted(&client_with(&Arc::default()), true));
    let outcome = with_hello(&client().build().unwrap(), &server, Side::Server, |hello| {
        hello.with(SESSION_TICKET, &[])
    });
    drop(outcome.refused_by(Side::Client, A::UNSUPPORTED_EXTENSION));
}

#[test]
fn an_empty_ticket_gives_no_session() {
    let cache = Arc::new(Held::default());
    let client = client_with(&cache);
    let server = server12(By::Ticket)
        .ticket_keys(Arc::new(NoSessions))
        .build()
        .unwrap();
    for _ in 0..2 {
        let (hello, outcome) = offered(&client, &server);
        assert!(hello.extension(SESSION_TICKET).is_empty());
        let mut ends = outcome.established();
        ends.check(b"data");
        assert!(ends.client.reader.take_session().is_none());
    }
}
