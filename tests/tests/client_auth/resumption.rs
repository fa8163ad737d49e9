//! Who a client is on a resumed connection.

use super::*;
use tls_core::{RotatingTicketKeys, ServerSessionStore};
use tls_tests::both_versions;
use tls_tokio::MemorySessionStore;

both_versions!(
    a_client_is_known_again_when_it_resumes,
    the_verifier_of_today_is_asked_and_now_or_later,
    a_client_that_is_refused_today_is_asked_again,
    a_certificate_revoked_since_is_seen,
    a_certificate_expired_since_is_seen,
    no_identity_appears_that_was_not_asked_for,
    nobody_is_let_in_without_a_required_certificate,
    a_client_that_was_never_asked_is_asked,
);

/// Where the sessions of several configurations are.
#[derive(Clone)]
struct Memory {
    keys: Arc<RotatingTicketKeys>,
    store: Option<Arc<dyn ServerSessionStore>>,
}

impl Memory {
    /// In tickets, and in a store.
    fn both() -> [Self; 2] {
        let keys = Arc::new(RotatingTicketKeys::new());
        let in_tickets = Self { keys, store: None };
        let in_store = Self {
            store: Some(Arc::new(MemorySessionStore::new(100))),
            ..in_tickets.clone()
        };
        [in_tickets, in_store]
    }

    fn builder(&self, version: ProtocolVersion) -> ServerConfigBuilder {
        let builder = server(version).ticket_keys(self.keys.clone());
        match &self.store {
            Some(store) => builder.session_store(store.clone()),
            None => builder,
        }
    }

    fn server(&self, version: ProtocolVersion, auth: Option<ClientAuth>) -> ServerConfig {
        let builder = self.builder(version);
        match auth {
            Some(auth) => builder.client_auth(auth),
            None => builder,
        }
        .build()
        .unwrap()
    }
}

fn a_client_is_known_again_when_it_resumes(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        for auth in [ClientAuth::required(web_pki()), ClientAuth::requested(web_pki())] {
            let server = memory.server(version, Some(auth));
            let client = client(version, Some(&identity));
            for round in 0..4 {
                assert_eq!(meet(&client, &server, Some(&identity)), round > 0);
            }
            let outcome = Pair::new(&client, &server).in_chunks_of(1).run();
            let ends = outcome.established();
            assert!(ends.server.negotiated().is_resumed());
            check_identity(&ends, Some(&identity));
        }
    }
}

fn the_verifier_of_today_is_asked_and_now_or_later(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        let verifier = Told::to(How::Accept);
        let server = memory.server(version, Some(ClientAuth::required(verifier.clone())));
        let client = client(version, Some(&identity));
        assert!(!meet(&client, &server, Some(&identity)));
        verifier.set(How::AcceptLater);
        assert!(meet(&client, &server, Some(&identity)));
        assert_eq!(verifier.asked(), 2);
    }
}

fn a_client_that_is_refused_today_is_asked_again(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        for how in [How::Refuse, How::RefuseLater] {
            let verifier = Told::to(How::Accept);
            let server = memory.server(version, Some(ClientAuth::required(verifier.clone())));
            let client = client(version, Some(&identity));
            assert!(!meet(&client, &server, Some(&identity)));
            verifier.set(how);
            let outcome = Pair::new(&client, &server).run();
            drop(outcome.refused_by(Side::Server, A::ACCESS_DENIED));
            // Once for the session, once for the certificate.
            assert_eq!(verifier.asked(), 3);
        }
    }
}

fn a_certificate_revoked_since_is_seen(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        let client = client(version, Some(&identity));
        let auth = |lists: String| Some(ClientAuth::required(with_lists(&lists)));
        let before = memory.server(version, auth(authority().revocation_lists(&[])));
        assert!(!meet(&client, &before, Some(&identity)));
        assert!(meet(&client, &before, Some(&identity)));
        let after = memory.server(version, auth(authority().revocation_lists(&[&identity])));
        let outcome = Pair::new(&client, &after).run();
        drop(outcome.refused_by(Side::Server, A::CERTIFICATE_REVOKED));
    }
}

fn a_certificate_expired_since_is_seen(version: ProtocolVersion) {
    // In a millisecond of 2098 it is good, and a day later is 2099.
    let identity = issue(&good());
    let hands = Hands::new();
    let end_of_2098 = 4_070_908_800 - 60;
    hands.0.store(end_of_2098, Relaxed);
    for memory in Memory::both() {
        hands.0.store(end_of_2098, Relaxed);
        let server = memory.builder(version).clock(hands.clock()).client_roots(roots());
        let server = server.build().unwrap();
        // Its own verifier must not be in the way.
        let client = ClientConfig::builder()
            .dangerously_accept_any_certificate()
            .certificate(certified(&identity))
            .clock(hands.clock())
            .session_cache(hands.cache())
            .only(version)
            .build()
            .unwrap();
        assert!(!meet(&client, &server, Some(&identity)));
        assert!(meet(&client, &server, Some(&identity)));
        hands.turn(120);
        let outcome = Pair::new(&client, &server).run();
        drop(outcome.refused_by(Side::Server, A::CERTIFICATE_EXPIRED));
    }
}

fn no_identity_appears_that_was_not_asked_for(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        let client = client(version, Some(&identity));
        let asking = memory.server(version, Some(ClientAuth::requested(web_pki())));
        let silent = memory.server(version, None);
        assert!(!meet(&client, &asking, Some(&identity)));
        assert!(!meet(&client, &silent, None), "not resumed, and not known");
        assert!(meet(&client, &silent, None));
    }
}

fn nobody_is_let_in_without_a_required_certificate(version: ProtocolVersion) {
    for memory in Memory::both() {
        let anonymous = client(version, None);
        let requesting = memory.server(version, Some(ClientAuth::requested(web_pki())));
        let requiring = memory.server(version, Some(ClientAuth::required(web_pki())));
        assert!(!meet(&anonymous, &requesting, None));
        assert!(meet(&anonymous, &requesting, None), "it has none, and may");
        let outcome = Pair::new(&anonymous, &requiring).run();
        let alert = match version {
            ProtocolVersion::TLS13 => A::CERTIFICATE_REQUIRED,
            _ => A::HANDSHAKE_FAILURE,
        };
        drop(outcome.refused_by(Side::Server, alert));
    }
}

fn a_client_that_was_never_asked_is_asked(version: ProtocolVersion) {
    let identity = issue(&good());
    for memory in Memory::both() {
        for auth in [ClientAuth::requested(web_pki()), ClientAuth::required(web_pki())] {
            let client = client(version, Some(&identity));
            let silent = memory.server(version, None);
            let asking = memory.server(version, Some(auth));
            assert!(!meet(&client, &silent, None));
            assert!(!meet(&client, &asking, Some(&identity)));
            assert!(meet(&client, &asking, Some(&identity)));
        }
    }
}
