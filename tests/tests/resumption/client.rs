//! What a client offers, and to whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tls_core::{
    AlertDescription, Answer, CertificateError, ConnectionContext, PeerVerified, PeerVerifier,
    RotatingTicketKeys, Side, VerifyRequest,
};
use tls_tests::hello::Hello;
use tls_tests::pair::{self, NAME, Pair, certified, identity, name};
use tls_tests::pki::{Authority, KeyType};

use crate::{Bag, Time, client, client_hellos, first_flight, is_resumed, keep, meet, offers_psk, server};

#[test]
fn configurations_that_differ_in_whom_they_trust_or_what_they_are_share_no_sessions() {
    let bag = Bag::new();
    let base = || pair::client().session_cache(bag.clone());
    let mut more_roots = pair::roots();
    more_roots.add_der(&Authority::new().root_der()).unwrap();
    let certificate = || certified(&identity(KeyType::P256));
    let different = [
        base(),
        base().alpn(["a"]),
        base().alpn(["a", "b"]),
        base().alpn(["ab"]),
        base().roots(more_roots),
        base().dangerously_accept_any_certificate(),
        base().dangerously_accept_any_certificate(),
        base().certificate(certificate()),
        base().certificate(certificate()),
    ]
    .map(|builder| builder.build().unwrap());
    let server = server();
    for (index, config) in different.iter().enumerate() {
        assert!(!meet(config, &server, &bag), "configuration {index}");
    }
    for (index, config) in different.iter().enumerate() {
        assert!(meet(config, &server, &bag), "configuration {index}");
    }
    // The same once more is the same domain.
    let again = base().build().unwrap();
    assert!(meet(&again, &server, &bag));
}

#[test]
fn a_session_is_for_one_name() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let other = Pair::for_name(&client, &server, "other.test").run();
    assert!(!offers_psk(&client_hellos(&other)[0]));
}

#[test]
fn a_cache_that_mixes_names_up_is_not_believed() {
    let names = ["one.test", "two.test"];
    let certified = pair::certified_for(KeyType::P256, &names);
    let server = tls_core::ServerConfig::builder().certificate(certified);
    let server = server.build().unwrap();
    let bag = Bag::new();
    let client = client(&bag);
    let mut ends = Pair::for_name(&client, &server, names[0]).run().established();
    assert_eq!(keep(&client, &mut ends, &bag), 2);
    for wanted in names {
        let session = bag.newest();
        *bag.sessions.lock().unwrap() = vec![(client.session_key(&name(wanted)), session.clone())];
        let outcome = Pair::for_name(&client, &server, wanted).run();
        assert_eq!(
            offers_psk(&client_hellos(&outcome)[0]),
            wanted == names[0],
            "{wanted}"
        );
        assert_eq!(is_resumed(&mut outcome.established()), wanted == names[0]);
        bag.hold(&client, session);
    }
}

/// Trusts everybody until told otherwise.
#[derive(Debug)]
struct Moody(AtomicBool);

impl PeerVerifier for Moody {
    fn verify<'a>(
        &'a self,
        request: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        assert_eq!(request.chain.certificates.len(), 2);
        Answer::Now(match self.0.load(Relaxed) {
            true => Ok(PeerVerified::assertion()),
            false => Err(CertificateError::Policy("not today".into())),
        })
    }
}

#[test]
fn the_chain_of_a_session_is_verified_again_before_it_is_used() {
    let bag = Bag::new();
    let verifier = Arc::new(Moody(AtomicBool::new(true)));
    let client = tls_core::ClientConfig::builder()
        .verifier(verifier.clone())
        .session_cache(bag.clone())
        .build()
        .unwrap();
    let server = server();
    assert!(!meet(&client, &server, &bag));
    assert!(meet(&client, &server, &bag));
    verifier.0.store(false, Relaxed);
    let outcome = Pair::new(&client, &server).run();
    assert!(!offers_psk(&client_hellos(&outcome)[0]));
    let _ = outcome.refused_by(Side::Client, AlertDescription::ACCESS_DENIED);
}

/// Trusts everybody, counts how often it had to look, and may say that once is enough.
#[derive(Debug, Default)]
struct Lenient {
    verified: AtomicUsize,
    once_is_enough: AtomicBool,
}

impl PeerVerifier for Lenient {
    fn verify<'a>(
        &'a self,
        _: &'a VerifyRequest<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<PeerVerified, CertificateError>> {
        self.verified.fetch_add(1, Relaxed);
        Answer::Now(Ok(PeerVerified::assertion()))
    }

    fn still_accepts(&self, request: &VerifyRequest<'_>) -> bool {
        assert_eq!(request.chain.certificates.len(), 2);
        self.once_is_enough.load(Relaxed)
    }
}

#[test]
fn a_chain_is_not_verified_again_if_its_verifier_says_that_once_was_enough() {
    let (bag, server) = (Bag::new(), server());
    let verifier = Arc::new(Lenient::default());
    let config = || {
        let builder = tls_core::ClientConfig::builder().verifier(verifier.clone());
        builder.session_cache(bag.clone()).build().unwrap()
    };
    let (client, other) = (config(), config());
    let verified = || verifier.verified.swap(0, Relaxed);
    verifier.once_is_enough.store(true, Relaxed);
    assert!(!meet(&client, &server, &bag));
    assert_eq!(verified(), 1, "a full handshake");
    for _ in 0..2 {
        assert!(meet(&client, &server, &bag));
        assert_eq!(verified(), 0, "also with a ticket of a resumed connection");
    }
    let session = bag.newest();
    bag.hold(
        &client,
        tls_core::ClientSession::from_bytes(&session.to_bytes()).unwrap(),
    );
    assert!(meet(&client, &server, &bag));
    assert_eq!(verified(), 1, "who knows who made these bytes");
    bag.hold(&other, session.clone());
    assert!(meet(&other, &server, &bag));
    assert_eq!(verified(), 1, "another domain, whatever the cache thinks");
    bag.hold(&client, session);
    verifier.once_is_enough.store(false, Relaxed);
    assert!(meet(&client, &server, &bag));
    assert_eq!(verified(), 1, "it wants to look");
}

#[test]
fn a_session_of_a_server_whose_certificate_has_expired_is_not_used() {
    let (bag, time) = (Bag::new(), Time::now());
    let server = pair::server().clock(time.clock()).build().unwrap();
    let builder = pair::client().clock(time.clock()).session_cache(bag.clone());
    let client = builder.build().unwrap();
    let since = |moment: u64| i64::try_from(moment).unwrap() - i64::try_from(time.0.load(Relaxed)).unwrap();
    // An hour before 2099, when the certificates expire; the ticket lives for a day.
    time.move_by(since(4_070_908_800) - 3600);
    assert!(!meet(&client, &server, &bag));
    time.move_by(3500);
    assert!(meet(&client, &server, &bag));
    time.move_by(200);
    assert!(!bag.newest().is_expired(time.0.load(Relaxed) * 1000));
    assert!(!offers_psk(&Hello::parse(&first_flight(&client))));
}

#[test]
fn a_session_of_a_server_whose_root_is_gone_is_not_used() {
    let bag = Bag::new();
    let before = client(&bag);
    assert!(!meet(&before, &server(), &bag));
    let mut roots = tls_core::RootStore::empty();
    roots.add_der(&Authority::new().root_der()).unwrap();
    let after = pair::client().roots(roots).session_cache(bag.clone());
    let after = after.build().unwrap();
    // Even if a cache does not keep them apart.
    bag.hold(&after, bag.newest());
    assert!(!offers_psk(&Hello::parse(&first_flight(&after))));
    assert_ne!(before.session_key(&name(NAME)), after.session_key(&name(NAME)));
}

#[test]
fn a_client_offers_one_ticket_the_newest_with_its_age_hidden() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let newest = bag.newest();
    let hello = Hello::parse(&first_flight(&client));
    let psk = hello.extension(41);
    let length = newest.ticket().len();
    assert_eq!(psk[4..4 + length], *newest.ticket());
    assert_eq!(psk.len(), 2 + 2 + length + 4 + 2 + 33);
    let age = u32::from_be_bytes(psk[4 + length..][..4].try_into().unwrap());
    let real = age.wrapping_sub(newest.obfuscated_ticket_age(newest.received_at()));
    assert!(real < 10_000, "{real} ms");
    assert_eq!(hello.extensions.last().unwrap().0, 41);
    assert_eq!(hello.extension(45), [1, 1], "with (EC)DHE only");
}

#[test]
fn a_session_survives_its_bytes() {
    let (bag, server) = (Bag::new(), server());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let bytes = bag.newest().to_bytes();
    bag.hold(&client, tls_core::ClientSession::from_bytes(&bytes).unwrap());
    assert!(meet(&client, &server, &bag));
}

#[test]
fn a_fallback_to_tls12_with_a_ticket_on_offer_works_and_is_full() {
    let keys = Arc::new(RotatingTicketKeys::new());
    let (bag, server) = (Bag::new(), pair::server().ticket_keys(keys).build().unwrap());
    let client = client(&bag);
    assert!(!meet(&client, &server, &bag));
    let old = pair::server().max_version(tls_core::ProtocolVersion::TLS12);
    assert!(offers_psk(&Hello::parse(&first_flight(&client))));
    let mut ends = Pair::new(&client, &old.build().unwrap()).run().established();
    assert_eq!(
        ends.client.negotiated().version(),
        tls_core::ProtocolVersion::TLS12
    );
    assert!(!is_resumed(&mut ends));
}
