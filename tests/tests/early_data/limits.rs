//! How much, how old, and what else must hold.

use tls_core::{AlertDescription, ErrorKind, Misbehaviour};

use tls_tests::session;

use super::*;

#[test]
fn the_client_stops_at_the_limit_of_its_ticket() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for (length, accepted) in [(999, 999), (1000, 1000), (1001, 1000), (50_000, 1000)] {
        meet(&client, &server);
        let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let (mut ours, flight) = early_client(&client, &data);
        let mut theirs = early_server(&server, &flight);
        let (read, _) = read(theirs.early().unwrap()).unwrap();
        assert_eq!(read, data[..accepted]);
        ours.receive(&theirs.transmit());
        ours.advance().unwrap();
        assert_eq!(ours.accepted_early_data(), accepted);
        let (mut ours, mut theirs) = finish(ours, theirs);
        check(&mut ours, &mut theirs);
    }
}

/// A client whose session says that it may send more than the server gave it.
fn greedy(client: &ClientConfig, limit: u32) -> ClientConfig {
    let key = client.session_key(&name(NAME));
    let context = ConnectionContext::new();
    let tls_core::Answer::Now(taken) = client.sessions().unwrap().take(&key, &context) else {
        panic!("it is in memory")
    };
    let mut bytes = session::write(&taken.unwrap().unwrap());
    let at = bytes
        .windows(4)
        .position(|window| window == LIMIT.to_be_bytes())
        .unwrap();
    bytes[at..at + 4].copy_from_slice(&limit.to_be_bytes());
    let session = session::read(bytes);
    assert_eq!(session.max_early_data(), limit);
    let tls_core::Answer::Now(put) = client.sessions().unwrap().put(&key, session, &context) else {
        panic!("it is in memory")
    };
    put.unwrap();
    client.clone()
}

#[test]
fn more_than_the_ticket_allows_ends_the_handshake() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for reads in [true, false] {
        meet(&client, &server);
        let (_, flight) = early_client(&greedy(&client, 2000), &[1; 1001]);
        let mut theirs = early_server(&server, &flight);
        theirs.transmit();
        if reads {
            let first = read(theirs.early().unwrap()).unwrap_err();
            let again = read(theirs.early().unwrap()).unwrap_err();
            assert_eq!(first.to_string(), again.to_string());
        }
        theirs.resume();
        let error = theirs.advance().unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::Misbehaved(Misbehaviour::TooMuchEarlyData)
        ));
        assert_eq!(error.alert(), Some(AlertDescription::UNEXPECTED_MESSAGE));
        assert!(!theirs.transmit().is_empty(), "the alert");
    }
}

#[test]
fn rejected_early_data_is_skipped_up_to_a_limit() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for (length, bearable) in [(16_000, true), (20_000, false)] {
        meet(&client, &server);
        let (ours, flight) = early_client(&greedy(&client, 1 << 20), &vec![1; length]);
        let mut theirs = Driver::server(&server);
        theirs.receive(&flight);
        let advanced = theirs.advance();
        if bearable {
            let (mut ours, mut theirs) = finish(ours, theirs);
            check(&mut ours, &mut theirs);
        } else {
            let error = advanced.unwrap_err();
            assert!(matches!(
                error.kind(),
                ErrorKind::Misbehaved(Misbehaviour::TooMuchEarlyData)
            ));
        }
    }
}

#[test]
fn a_ticket_whose_age_does_not_fit_is_resumed_without_early_data() {
    let (theirs, ours) = (Time::now(), Time::now());
    let server = server().clock(theirs.clock()).build().unwrap();
    for (late, accepted) in [(0, true), (10, true), (11, false)] {
        let now = ours.clock();
        let cache = MemorySessionCache::default().with_clock(move || now().as_secs() * 1000);
        let client = client().clock(ours.clock()).session_cache(Arc::new(cache));
        let client = client.build().unwrap();
        meet(&client, &server);
        // Both clocks go on together, then the ClientHello is held back.
        for time in [&ours, &theirs] {
            time.pass(3600);
        }
        let (driver, flight) = early_client(&client, b"early");
        theirs.pass(late);
        let mut taken = early_server(&server, &flight);
        assert_eq!(is_accepted(&mut taken), accepted, "{late} s late");
        let (mut client, mut server) = finish(driver, taken);
        assert!(client.negotiated().is_resumed());
        assert_eq!(received(&mut server).is_empty(), !accepted);
        check(&mut client, &mut server);
        ours.pass(late);
    }
}

#[test]
fn a_server_that_lowered_its_limit_rejects_what_old_tickets_allow() {
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let before = server().ticket_keys(keys.clone()).build().unwrap();
    let lower = pair::server()
        .max_early_data(LIMIT - 1)
        .ticket_keys(keys)
        .build()
        .unwrap();
    let client = client().build().unwrap();
    meet(&client, &before);
    let (ours, flight) = early_client(&client, &[1; 10]);
    let mut theirs = early_server(&lower, &flight);
    assert!(!is_accepted(&mut theirs));
    let (mut ours, mut theirs) = finish(ours, theirs);
    check(&mut ours, &mut theirs);
}

#[test]
fn the_end_of_early_data_must_be_said() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    meet(&client, &server);
    let (mut ours, flight) = early_client(&client, b"early");
    let mut theirs = early_server(&server, &flight);
    theirs.resume();
    theirs.advance().unwrap();
    ours.receive(&theirs.transmit());
    assert_eq!(ours.advance().unwrap(), Progress::Done);
    let last = ours.transmit();
    // EndOfEarlyData is a record of its own, since the keys change behind it; without it comes a Finished under the
    // next keys, which the early ones do not open.
    let first = 5 + usize::from(u16::from_be_bytes([last[3], last[4]]));
    assert_eq!(first, 5 + 4 + 1 + 16);
    theirs.receive(&last[first..]);
    let error = theirs.advance().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadRecordMac)),
        "{error}"
    );
}

#[test]
fn an_end_in_the_middle_of_early_data_is_a_truncation() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for cut in [0, 1] {
        meet(&client, &server);
        let (_, flight) = early_client(&client, b"early");
        let mut theirs = early_server(&server, &flight[..flight.len() - cut]);
        theirs.eof();
        let error = read(theirs.early().unwrap()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Truncated), "{error}");
        theirs.resume();
        let error = theirs.advance().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Truncated), "{error}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_early_data_is_noticed() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for bit in 0..(5 + 1 + 16) * 8 {
        meet(&client, &server);
        let (_, mut flight) = early_client(&client, b"early");
        let start = flight.len() - (5 + 1 + 16);
        flight[start + bit / 8] ^= 1 << (bit % 8);
        let mut theirs = early_server(&server, &flight);
        let error = read(theirs.early().unwrap()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadRecordMac)),
            "{error}"
        );
    }
}
