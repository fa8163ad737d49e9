//! What tickets hand on: since when, until when, and not too much.

use super::*;
use tls_core::CertifiedKey;
use tls_tests::both_versions;
use tls_tokio::MemorySessionStore;

both_versions!(
    no_chain_of_resumptions_is_longer_than_seven_days,
    a_chain_that_is_too_long_for_a_ticket_is_not_resumed,
    sessions_hand_on_what_the_user_attached,
    clients_of_different_versions_do_not_take_each_other_s_sessions,
);

const DAY: u64 = 86_400;

struct Sides {
    hands: Hands,
    client: ClientConfig,
    server: ServerConfig,
}

/// Two sides with one clock.
fn sides(version: ProtocolVersion, lifetime: u64) -> Sides {
    let hands = Hands::new();
    let client = pair::client()
        .clock(hands.clock())
        .session_cache(hands.cache())
        .only(version)
        .build()
        .unwrap();
    let server = server(version)
        .clock(hands.clock())
        .ticket_keys(Arc::new(
            tls_core::RotatingTicketKeys::new().with_rotation(Duration::from_secs(30 * DAY)),
        ))
        .session_lifetime(Duration::from_secs(lifetime))
        .build()
        .unwrap();
    Sides {
        hands,
        client,
        server,
    }
}

fn no_chain_of_resumptions_is_longer_than_seven_days(version: ProtocolVersion) {
    let Sides {
        hands,
        client,
        server,
    } = sides(version, 2 * DAY);
    assert!(!meet(&client, &server, None));
    let first = take(&client);
    assert_eq!(u64::from(first.lifetime()), 2 * DAY);
    let began = first.authenticated_at();
    put(&client, first);
    for day in 1..=6 {
        hands.turn(DAY + 1);
        assert!(meet(&client, &server, None), "day {day}");
    }
    // The last tickets are good for what is left of the seven days, whatever the configuration.
    let last = take(&client);
    assert_eq!(last.authenticated_at(), began);
    let end = last.received_at() + 1000 * u64::from(last.lifetime());
    assert_eq!(end, began + 7 * DAY * 1000);
    put(&client, last);
    hands.turn(DAY);
    assert!(!meet(&client, &server, None), "day 7");
    assert!(take(&client).authenticated_at() > began);
}

/// Certificates that are no use, but large: a chain of them has so many bytes.
fn large_chain(bytes: usize) -> (Vec<tls_core::CertificateDer<'static>>, Identity) {
    let identity = issue(&good());
    let mut chain = identity.chain();
    chain.push(vec![0x30; bytes].into());
    (chain, identity)
}

fn a_chain_that_is_too_long_for_a_ticket_is_not_resumed(version: ProtocolVersion) {
    for (bytes, is_stored, resumes) in [
        (12_000, false, true),
        (16_000, false, false),
        (16_000, true, true),
    ] {
        let (chain, identity) = large_chain(bytes);
        let client = pair::client()
            .certificate(CertifiedKey::from_der(chain, &identity.key()).unwrap())
            .session_cache(Arc::new(MemorySessionCache::new(16)))
            .only(version)
            .build()
            .unwrap();
        let mut server = server(version).client_roots(roots());
        if is_stored {
            server = server.session_store(Arc::new(MemorySessionStore::new(16)));
        }
        let server = server.build().unwrap();
        let mut ends = Pair::new(&client, &server).run().established();
        ends.check(b"data");
        assert_eq!(keep(&client, &mut ends) > 0, resumes, "{bytes}");
        let ends = Pair::new(&client, &server).run().established();
        assert_eq!(ends.server.negotiated().is_resumed(), resumes, "{bytes}");
        assert_eq!(ends.server.negotiated().peer_certificates().len(), 3);
    }
}

fn sessions_hand_on_what_the_user_attached(version: ProtocolVersion) {
    let Sides {
        hands,
        client,
        server,
    } = sides(version, DAY);
    assert!(!meet(&client, &server, None));
    let key = client.session_key(&name(NAME));
    let cache = client.sessions().unwrap();
    let session = take(&client).with_extra(b"mine".to_vec()).unwrap();
    assert!(matches!(
        cache.remove(&key, &ConnectionContext::new()),
        Answer::Now(Ok(()))
    ));
    put(&client, session.clone());
    // In TLS 1.2 a new ticket comes in the second half of the old one's life.
    hands.turn(DAY / 2 + 1);
    assert!(meet(&client, &server, None));
    let next = take(&client);
    assert_eq!(next.extra(), b"mine");
    assert_ne!(next.ticket(), session.ticket());
    assert_eq!(next.authenticated_at(), session.authenticated_at());
    assert!(next.received_at() > session.received_at());
}

fn clients_of_different_versions_do_not_take_each_other_s_sessions(version: ProtocolVersion) {
    let other = match version {
        ProtocolVersion::TLS13 => ProtocolVersion::TLS12,
        _ => ProtocolVersion::TLS13,
    };
    let cache = Arc::new(MemorySessionCache::new(256));
    let [one, two] = [version, other].map(|version| {
        let client = pair::client().session_cache(cache.clone()).only(version);
        client.build().unwrap()
    });
    let server = pair::server().tickets(1).build().unwrap();
    assert!(!meet(&one, &server, None));
    assert!(!meet(&two, &server, None));
    assert!(meet(&one, &server, None));
    assert!(meet(&two, &server, None));
}

#[test]
fn in_tls12_a_ticket_is_renewed_in_the_second_half_of_its_life_only() {
    let Sides {
        hands,
        client,
        server,
    } = sides(ProtocolVersion::TLS12, 1000);
    let resumed_gives = || {
        let mut ends = Pair::new(&client, &server).run().established();
        ends.check(b"data");
        assert!(ends.server.negotiated().is_resumed() && ends.client.negotiated().is_resumed());
        keep(&client, &mut ends)
    };
    assert!(!meet(&client, &server, None));
    hands.turn(400);
    assert_eq!(resumed_gives(), 0);
    for _ in 0..3 {
        // Past the life of the first one in the end.
        hands.turn(501);
        assert_eq!(resumed_gives(), 1);
        assert_eq!(resumed_gives(), 0);
    }
}

#[test]
fn in_tls12_a_renewed_ticket_keeps_the_client_s_identity() {
    let identity = issue(&good());
    let hands = Hands::new();
    let client = pair::client()
        .certificate(certified(&identity))
        .clock(hands.clock())
        .session_cache(hands.cache())
        .only(ProtocolVersion::TLS12)
        .build()
        .unwrap();
    let server = server(ProtocolVersion::TLS12)
        .client_roots(roots())
        .clock(hands.clock())
        .session_lifetime(Duration::from_secs(1000))
        .build()
        .unwrap();
    assert!(!meet(&client, &server, Some(&identity)));
    for _ in 0..4 {
        hands.turn(600);
        assert!(meet(&client, &server, Some(&identity)));
    }
}
