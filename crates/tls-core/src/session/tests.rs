use super::*;

const NOW: u64 = 1_800_000_000_000;

fn state(version: ProtocolVersion) -> SessionState {
    let (cipher_suite, secret_len) = match version {
        ProtocolVersion::TLS13 => (CipherSuite::TLS_AES_128_GCM_SHA256, 32),
        _ => (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 48),
    };
    let mut chain = PeerChain::new(vec![vec![1; 40].into(), vec![2; 30].into()]);
    chain.ocsp_response = Some(vec![3; 20]);
    chain.scts = Some(vec![4; 10]);
    SessionState {
        version,
        cipher_suite,
        secret: Secret::from_slice(&vec![0xa5; secret_len]).unwrap(),
        made_at: NOW,
        authenticated_at: NOW - 1000,
        lifetime: 7200,
        age_add: 0xffff_ff00,
        max_early_data: 16_384,
        alpn: Some(b"h2".to_vec()),
        server_name: Some("example.com".into()),
        extended_main_secret: version == ProtocolVersion::TLS12,
        client_was_asked: false,
        peer_chain: Some(Arc::new(chain)),
        extra: b"extra".to_vec(),
    }
}

fn client(version: ProtocolVersion) -> ClientSession {
    ClientSession::new(ClientSessionParts {
        state: state(version),
        ticket: vec![7; 50],
        session_id: match version {
            ProtocolVersion::TLS12 => vec![8; 32],
            _ => Vec::new(),
        },
    })
}

fn bare_state() -> SessionState {
    SessionState {
        max_early_data: 0,
        alpn: None,
        server_name: None,
        peer_chain: None,
        extra: Vec::new(),
        ..state(ProtocolVersion::TLS13)
    }
}

fn reencode_client(bytes: &[u8]) -> Result<Vec<u8>, BadBytes> {
    ClientSession::from_bytes(bytes).map(|session| session.to_bytes().to_vec())
}

fn reencode_server(bytes: &[u8]) -> Result<Vec<u8>, BadBytes> {
    ServerSession::from_bytes(bytes).map(|session| session.to_bytes().to_vec())
}

/// The bytes are read as they were written; whatever else is read is also written as it was: nothing is ignored.
fn check(bytes: &[u8], reencode: fn(&[u8]) -> Result<Vec<u8>, BadBytes>) {
    assert_eq!(reencode(bytes).as_deref(), Ok(bytes));
    for len in 0..bytes.len() {
        assert!(reencode(&bytes[..len]).is_err(), "the first {len} bytes are read");
    }
    let mut changed = bytes.to_vec();
    changed.push(0);
    let error = reencode(&changed).unwrap_err();
    assert!(
        error.problem == Problem::TrailingBytes || error.field == "checksum",
        "{error}"
    );
    changed.pop();
    for bit in 0..bytes.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(again) = reencode(&changed) {
            assert_eq!(again, changed, "bit {bit}");
        }
        changed[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_session_is_read_as_it_was_written_and_nothing_else_is_taken_for_it() {
    for version in [ProtocolVersion::TLS13, ProtocolVersion::TLS12] {
        check(&client(version).to_bytes(), reencode_client);
        check(
            &ServerSession {
                state: state(version),
            }
            .to_bytes(),
            reencode_server,
        );
    }
    check(&ServerSession { state: bare_state() }.to_bytes(), reencode_server);
}

#[test]
fn every_field_survives_the_bytes() {
    let session = ClientSession::from_bytes(&client(ProtocolVersion::TLS12).to_bytes()).unwrap();
    let expected = state(ProtocolVersion::TLS12);
    let parts = session.parts();
    assert!(parts.state.secret.constant_time_eq(&expected.secret));
    assert_eq!(parts.state.age_add, expected.age_add);
    assert_eq!(session.version(), ProtocolVersion::TLS12);
    assert_eq!(session.cipher_suite(), expected.cipher_suite);
    assert_eq!((session.received_at(), session.lifetime()), (NOW, 7200));
    assert_eq!(session.authenticated_at(), NOW - 1000);
    assert_eq!(session.max_early_data(), 16_384);
    assert_eq!(session.alpn(), Some(&b"h2"[..]));
    assert_eq!(session.server_name(), Some("example.com"));
    assert!(session.has_extended_main_secret() && !session.is_single_use());
    assert_eq!(session.peer_chain(), expected.peer_chain.as_deref());
    assert_eq!(session.extra(), b"extra");
    assert_eq!(
        (session.ticket(), session.session_id()),
        (&[7; 50][..], &[8; 32][..])
    );

    for client_was_asked in [false, true] {
        let state = SessionState {
            client_was_asked,
            ..bare_state()
        };
        let again = ServerSession::from_bytes(&ServerSession { state }.to_bytes()).unwrap();
        assert_eq!(again.state.client_was_asked, client_was_asked);
    }
    let bare = ServerSession::from_bytes(&ServerSession { state: bare_state() }.to_bytes()).unwrap();
    assert_eq!((bare.state.alpn, bare.state.server_name), (None, None));
    assert!(bare.state.peer_chain.is_none() && bare.state.extra.is_empty());
}

#[test]
fn an_unknown_form_and_the_other_side_s_session_are_refused() {
    let bytes = client(ProtocolVersion::TLS13).to_bytes();
    let mut newer = bytes.to_vec();
    newer[4] = FORM + 1;
    let error = ClientSession::from_bytes(&newer).unwrap_err();
    assert_eq!(
        (error.field, error.offset, error.problem),
        ("form", 4, Problem::IllegalValue)
    );
    assert_eq!(ServerSession::from_bytes(&bytes).unwrap_err().field, "mark");
}

#[test]
fn what_cannot_be_used_is_refused() {
    let refused = |parts: ClientSessionParts| {
        ClientSession::from_bytes(&ClientSession(Arc::new(parts)).to_bytes())
            .unwrap_err()
            .field
    };
    let parts = || client(ProtocolVersion::TLS13).parts().clone();
    let with_state = |change: fn(&mut SessionState)| {
        let mut parts = parts();
        change(&mut parts.state);
        parts
    };
    assert_eq!(
        refused(with_state(|state| state.version = ProtocolVersion::TLS11)),
        "secret"
    );
    assert_eq!(
        refused(with_state(|state| state.cipher_suite = CipherSuite(0x1399))),
        "secret"
    );
    assert_eq!(
        refused(with_state(
            |state| state.cipher_suite = CipherSuite::TLS_AES_256_GCM_SHA384
        )),
        "secret"
    );
    assert_eq!(
        refused(with_state(|state| state.lifetime = MAX_LIFETIME + 1)),
        "lifetime"
    );
    let ticket = Vec::new();
    assert_eq!(refused(ClientSessionParts { ticket, ..parts() }), "ticket");
    let session_id = vec![1];
    assert_eq!(
        refused(ClientSessionParts {
            session_id,
            ..parts()
        }),
        "session_id"
    );
    let nothing = ClientSessionParts {
        state: state(ProtocolVersion::TLS12),
        ticket: Vec::new(),
        session_id: Vec::new(),
    };
    assert_eq!(refused(nothing), "session_id");
}

#[test]
fn a_lifetime_is_cut_to_seven_days() {
    let mut parts = client(ProtocolVersion::TLS13).parts().clone();
    parts.state.lifetime = u32::MAX;
    parts.state.authenticated_at = NOW;
    assert_eq!(ClientSession::new(parts).lifetime(), MAX_LIFETIME);
}

#[test]
fn a_session_expires_with_its_lifetime_in_both_directions() {
    let session = client(ProtocolVersion::TLS13);
    let lifetime = 7_200_000;
    for (now, is_expired) in [
        (NOW, false),
        (NOW + lifetime - 1, false),
        (NOW + lifetime, true),
        (u64::MAX, true),
        (NOW - 1000, false),
        (NOW - lifetime, true),
        (0, true),
    ] {
        assert_eq!(session.is_expired(now), is_expired, "{now}");
    }
}

#[test]
fn no_ticket_is_good_for_longer_than_seven_days_after_the_full_handshake() {
    let week = u64::from(MAX_LIFETIME) * 1000;
    let authenticated = |authenticated_at| SessionState {
        authenticated_at,
        ..state(ProtocolVersion::TLS13)
    };
    for (authenticated_at, is_expired) in [
        (NOW - week + 1, false),
        (NOW - week, true),
        (0, true),
        (NOW + CLOCK_TOLERANCE, false),
        (NOW + CLOCK_TOLERANCE + 1, true),
        (u64::MAX, true),
    ] {
        assert_eq!(
            authenticated(authenticated_at).is_expired(NOW),
            is_expired,
            "{authenticated_at}"
        );
    }
    let parts = ClientSessionParts {
        state: authenticated(NOW - week + 60_000),
        ..client(ProtocolVersion::TLS13).parts().clone()
    };
    assert_eq!(ClientSession::new(parts).lifetime(), 60, "it says so itself");
}

#[test]
fn what_a_session_hands_on_is_when_it_began_and_what_the_user_attached() {
    let inherited = state(ProtocolVersion::TLS13).inheritance();
    assert_eq!(
        (inherited.authenticated_at, &inherited.extra[..]),
        (NOW - 1000, &b"extra"[..])
    );
}

#[test]
fn half_of_a_lifetime_is_over_after_half_of_it() {
    let state = state(ProtocolVersion::TLS12);
    assert!(!state.is_past_half(NOW + 3_600_000) && state.is_past_half(NOW + 3_600_001));
    assert!(!state.is_past_half(0), "a clock was set back");
}

#[test]
fn the_age_of_a_ticket_is_obfuscated_modulo_2_to_the_32() {
    let session = client(ProtocolVersion::TLS13);
    assert_eq!(session.obfuscated_ticket_age(NOW), 0xffff_ff00);
    assert_eq!(session.obfuscated_ticket_age(NOW + 0x100), 0);
    assert_eq!(
        session.obfuscated_ticket_age(NOW - 5),
        0xffff_ff00,
        "no negative age"
    );

    let server = ServerSession {
        state: state(ProtocolVersion::TLS13),
    };
    let sent = session.obfuscated_ticket_age(NOW + 1500);
    assert_eq!(server.age_difference(sent, NOW + 1500), 0);
    assert_eq!(server.age_difference(sent, NOW + 1400), 100);
    assert_eq!(server.age_difference(sent, NOW + 61_500), 60_000);
}

#[test]
fn extra_bytes_are_replaced_in_one_clone_only_and_bounded() {
    let session = client(ProtocolVersion::TLS13);
    let other = session.clone().with_extra(vec![1; MAX_EXTRA]).unwrap();
    assert_eq!((session.extra(), other.extra().len()), (&b"extra"[..], MAX_EXTRA));
    check_round_trip(&other);
    let error = session.with_extra(vec![1; MAX_EXTRA + 1]).unwrap_err();
    assert_eq!(error.problem, Problem::LengthOutOfBounds);
}

fn check_round_trip(session: &ClientSession) {
    let bytes = session.to_bytes();
    assert_eq!(reencode_client(&bytes).unwrap(), *bytes);
}

#[test]
fn bytes_with_the_secret_are_never_moved_to_larger_memory() {
    for version in [ProtocolVersion::TLS13, ProtocolVersion::TLS12] {
        let state = SessionState {
            alpn: Some(vec![b'a'; 255]),
            server_name: Some("n".repeat(253)),
            ..state(version)
        };
        let parts = ClientSessionParts {
            state: state.clone(),
            ..client(version).parts().clone()
        };
        let room = state.room() + parts.ticket.len() + parts.session_id.len() + CHECKSUM_LEN;
        let bytes = ClientSession::new(parts).to_bytes();
        assert_eq!(bytes.capacity(), room);
        let unused = 48 - state.secret.as_bytes().len();
        assert_eq!(bytes.len(), room - unused, "no room is wasted");
    }
}

#[test]
fn no_secret_is_shown() {
    let shown = format!(
        "{:?} {:?}",
        client(ProtocolVersion::TLS13),
        state(ProtocolVersion::TLS13)
    );
    assert!(
        !shown.contains("165") && !shown.to_lowercase().contains("a5, "),
        "{shown}"
    );
}
