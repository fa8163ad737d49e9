//! What goes where, in memory.

use tls_core::{CipherSuite, Misuse, NamedGroup, ProtocolVersion};

use super::*;

#[test]
fn early_data_is_read_before_the_handshake_is_over_and_answered_too() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    meet(&client, &server);
    let (mut ours, flight) = early_client(&client, b"GET / early");
    let mut theirs = early_server(&server, &flight);
    assert!(is_accepted(&mut theirs));
    let early = theirs.early().unwrap();
    assert!(early.negotiated().is_resumed());
    assert_eq!(
        read(early).unwrap(),
        (b"GET / early".to_vec(), ReadEvent::NeedMore)
    );
    assert_eq!(early.write(b"answered early").unwrap(), 14);

    theirs.advance().unwrap();
    ours.receive(&theirs.transmit());
    assert_eq!(ours.advance().unwrap(), Progress::Done);
    assert_eq!(ours.accepted_early_data(), 11);
    theirs.receive(&ours.transmit());
    let (data, event) = read(theirs.early().unwrap()).unwrap();
    assert!(data.is_empty());
    assert_eq!(event, ReadEvent::Closed, "the client said that this was all");

    let (mut ours, mut theirs) = finish(ours, theirs);
    assert_eq!(received(&mut ours), b"answered early");
    assert_eq!(ours.negotiated().early_data(), EarlyData::Accepted);
    check(&mut ours, &mut theirs);
}

#[test]
fn early_data_that_nobody_read_comes_first_after_the_handshake() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for read_before in [0, 4] {
        meet(&client, &server);
        let (ours, flight) = early_client(&client, b"GET / early");
        let mut theirs = early_server(&server, &flight);
        let early = theirs.early().unwrap();
        if read_before > 0 {
            assert_eq!(early.process().unwrap(), ReadEvent::Data);
            early.consume(read_before);
        }
        let (mut ours, mut theirs) = finish(ours, theirs);
        assert_eq!(theirs.reader.process().unwrap(), ReadEvent::Data);
        assert!(theirs.reader.has_buffered());
        assert_eq!(theirs.reader.data(), &b"GET / early"[read_before..]);
        let mut some = [0; 5];
        assert_eq!(theirs.reader.read_into(&mut some), 5);
        assert_eq!(some, b"GET / early"[read_before..][..5]);
        ours.writer.write(b" and late").unwrap();
        let mut data = Vec::new();
        pair::transfer(&mut ours, &mut theirs, usize::MAX, &mut data).unwrap();
        assert_eq!(data, [&b"GET / early"[read_before + 5..], b" and late"].concat());
        assert!(!theirs.reader.has_buffered());
    }
}

#[test]
fn in_any_chunks_it_is_the_same() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for chunk in [1, 3, 100] {
        meet(&client, &server);
        let (mut ours, mut theirs) = (
            early_client(&client, b"in chunks"),
            Driver::server_early(&server, ConnectionContext::new()),
        );
        let mut data = Vec::new();
        for piece in ours.1.chunks(chunk) {
            theirs.receive(piece);
            if theirs.advance().unwrap() == Progress::Early {
                data.extend(read(theirs.early().unwrap()).unwrap().0);
            }
        }
        assert_eq!(data, b"in chunks");
        for byte in theirs.transmit() {
            ours.0.receive(&[byte]);
            ours.0.advance().unwrap();
        }
        for byte in ours.0.transmit() {
            theirs.receive(&[byte]);
            theirs.advance().unwrap();
            assert!(read(theirs.early().unwrap()).unwrap().0.is_empty());
        }
        let (mut ours, mut theirs) = finish(ours.0, theirs);
        check(&mut ours, &mut theirs);
    }
}

#[test]
fn without_a_session_all_is_handed_back_and_there_is_nothing_to_read() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    let (ours, flight) = early_client(&client, b"not sent");
    let mut theirs = early_server(&server, &flight);
    let early = theirs.early().unwrap();
    assert_eq!(early.negotiated().early_data(), EarlyData::NotOffered);
    assert_eq!(read(early).unwrap(), (Vec::new(), ReadEvent::Closed));
    assert_eq!(early.write(b"half").unwrap(), 4);
    let ours_accepted = ours.accepted_early_data();
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert_eq!(ours_accepted, 0);
    assert_eq!(received(&mut ours), b"half");
    assert!(received(&mut theirs).is_empty());
    check(&mut ours, &mut theirs);
    assert_eq!(ours.negotiated().early_data(), EarlyData::NotOffered);
}

#[test]
fn tls_1_2_has_no_early_data_and_its_handshake_is_over_at_once() {
    let client = client().max_version(ProtocolVersion::TLS12).build().unwrap();
    let server = server().build().unwrap();
    let (mut ours, flight) = early_client(&client, b"not sent");
    let mut theirs = Driver::server_early(&server, ConnectionContext::new());
    theirs.receive(&flight);
    assert_eq!(theirs.advance().unwrap(), Progress::Waiting);
    for _ in 0..3 {
        ours.receive(&theirs.transmit());
        ours.advance().unwrap();
        theirs.receive(&ours.transmit());
        theirs.advance().unwrap();
    }
    assert_eq!(theirs.advance().unwrap(), Progress::Early);
    let early = theirs.early().unwrap();
    assert_eq!(read(early).unwrap(), (Vec::new(), ReadEvent::Closed));
    assert_eq!(early.write(b"first").unwrap(), 5);
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert_eq!(received(&mut ours), b"first");
    check(&mut ours, &mut theirs);
}

#[test]
fn a_server_that_does_not_take_early_data_skips_it_and_it_is_handed_back() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    let data = [7; 900];
    // One that only accepts, then one that allows none any more.
    meet(&client, &server);
    let (ours, flight) = early_client(&client, &data);
    let mut theirs = Driver::server(&server);
    theirs.receive(&flight);
    theirs.advance().unwrap();
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert_eq!(ours.negotiated().early_data(), EarlyData::Rejected);
    assert!(ours.negotiated().is_resumed());
    assert!(received(&mut theirs).is_empty());
    check(&mut ours, &mut theirs);

    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let (server, without) = (
        super::server().ticket_keys(keys.clone()).build().unwrap(),
        pair::server().ticket_keys(keys).build().unwrap(),
    );
    meet(&client, &server);
    let (ours, flight) = early_client(&client, &data);
    let mut theirs = early_server(&without, &flight);
    assert!(!is_accepted(&mut theirs));
    assert_eq!(
        read(theirs.early().unwrap()).unwrap(),
        (Vec::new(), ReadEvent::Closed)
    );
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert!(ours.negotiated().is_resumed());
    check(&mut ours, &mut theirs);
}

#[test]
fn a_hello_retry_request_rejects_it() {
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let first = server().ticket_keys(keys.clone()).build().unwrap();
    let second = server()
        .ticket_keys(keys)
        .groups([NamedGroup::SECP384R1])
        .build()
        .unwrap();
    for compatible in [true, false] {
        let client = client().middlebox_compatibility(compatible).build().unwrap();
        meet(&client, &first);
        let (mut ours, flight) = early_client(&client, &[7; 900]);
        let mut theirs = Driver::server_early(&second, ConnectionContext::new());
        theirs.receive(&flight);
        assert_eq!(theirs.advance().unwrap(), Progress::Waiting);
        ours.receive(&theirs.transmit());
        assert_eq!(ours.advance().unwrap(), Progress::Waiting);
        let answer = ours.transmit();
        assert_eq!(answer[..3], [22, 3, 3], "a ClientHello in the clear");
        theirs.receive(&answer);
        assert_eq!(theirs.advance().unwrap(), Progress::Early);
        assert!(!is_accepted(&mut theirs));
        assert_eq!(ours.accepted_early_data(), 0);
        let (mut ours, mut theirs) = finish(ours, theirs);
        assert!(ours.negotiated().is_resumed() && ours.negotiated().had_hello_retry_request());
        assert_eq!(ours.negotiated().early_data(), EarlyData::Rejected);
        check(&mut ours, &mut theirs);
    }
}

#[test]
fn another_suite_or_protocol_than_that_of_the_session_rejects_it() {
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let suites = [
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_AES_128_GCM_SHA256,
    ];
    let with = |suite| {
        let server = server().ticket_keys(keys.clone()).alpn(["a", "b"]);
        server.cipher_suites([suite]).build().unwrap()
    };
    // The hash is the same, so that the session is resumed all the same.
    let [first, second] = suites.map(with);
    let client = client().alpn(["b"]).build().unwrap();
    meet(&client, &first);
    let (ours, flight) = early_client(&client, b"early");
    let mut theirs = early_server(&second, &flight);
    assert!(!is_accepted(&mut theirs));
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert!(ours.negotiated().is_resumed());
    check(&mut ours, &mut theirs);

    let other = server()
        .ticket_keys(keys.clone())
        .alpn(["c", "b"])
        .build()
        .unwrap();
    let two = super::client().alpn(["b", "c"]).build().unwrap();
    meet(&two, &with(CipherSuite::TLS_AES_128_GCM_SHA256));
    let (ours, flight) = early_client(&two, b"early");
    let mut theirs = early_server(&other, &flight);
    assert!(!is_accepted(&mut theirs));
    let (mut ours, mut theirs) = finish(ours, theirs);
    assert!(!ours.negotiated().is_resumed());
    check(&mut ours, &mut theirs);
}

#[test]
fn both_sides_export_the_same_from_the_early_secret_where_it_was_accepted() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    meet(&client, &server);
    let (ours, flight) = early_client(&client, b"early");
    let mut theirs = early_server(&server, &flight);
    let label = b"EXPORTER-early";
    let mut early = [0; 32];
    let connection = theirs.early().unwrap();
    connection
        .export_early_keying_material(&mut early, label, None)
        .unwrap();
    assert_ne!(early, [0; 32]);
    let (ours, theirs) = finish(ours, theirs);
    for connection in [&ours, &theirs] {
        let mut out = [0; 32];
        connection
            .export_early_keying_material(&mut out, label, None)
            .unwrap();
        assert_eq!(out, early);
        connection.export_keying_material(&mut out, label, None).unwrap();
        assert_ne!(out, early);
    }

    let ends = Pair::new(&client, &server).run().established();
    let error = ends
        .client
        .export_early_keying_material(&mut early, label, None)
        .unwrap_err();
    assert!(matches!(
        error.kind(),
        tls_core::ErrorKind::Misuse(Misuse::NoEarlyExporter)
    ));
}

#[test]
fn early_data_is_in_the_protocol_that_the_client_offers_first_or_is_not_sent() {
    for (first, offers) in [("h2", EarlyData::Accepted), ("http/1.1", EarlyData::NotOffered)] {
        let second = if first == "h2" { "http/1.1" } else { "h2" };
        let server = server().alpn(["h2"]).build().unwrap();
        let client = client().alpn([first, second]).build().unwrap();
        meet(&client, &server);
        let (ours, flight) = early_client(&client, b"early");
        let mut theirs = early_server(&server, &flight);
        let early = theirs.early().unwrap();
        assert_eq!(early.negotiated().early_data(), offers);
        assert!(early.negotiated().is_resumed());
        let (mut ours, mut theirs) = finish(ours, theirs);
        assert_eq!(received(&mut theirs).is_empty(), offers == EarlyData::NotOffered);
        check(&mut ours, &mut theirs);
    }
}
