//! Sessions made at random, and what becomes of their bytes and of the tickets that hold them.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::crypto::random::HandshakeRandom;
use crate::properties::config;
use crate::ticket::{self, Purpose};

fn bytes(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

/// A version, a suite of it, and how long its secret is.
fn kind() -> impl Strategy<Value = (ProtocolVersion, CipherSuite, usize)> {
    use CipherSuite as S;
    use ProtocolVersion as V;
    prop_oneof![
        Just((V::TLS13, S::TLS_AES_128_GCM_SHA256, 32)),
        Just((V::TLS13, S::TLS_AES_256_GCM_SHA384, 48)),
        Just((V::TLS13, S::TLS_CHACHA20_POLY1305_SHA256, 32)),
        Just((V::TLS12, S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 48)),
        Just((V::TLS12, S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 48)),
    ]
}

prop_compose! {
    fn chain()(
        certificates in vec(bytes(1..60), 0..4),
        ocsp_response in of(bytes(0..40)),
        scts in of(bytes(0..40)),
    ) -> Arc<PeerChain> {
        let mut chain = PeerChain::new(certificates.into_iter().map(Into::into).collect());
        chain.ocsp_response = ocsp_response;
        chain.scts = scts;
        Arc::new(chain)
    }
}

prop_compose! {
    fn state()(
        (version, cipher_suite, secret_len) in kind(),
        secret in bytes(48),
        [made_at, authenticated_at] in any::<[u64; 2]>(),
        lifetime in 0..=MAX_LIFETIME,
        [age_add, max_early_data] in any::<[u32; 2]>(),
        alpn in of(bytes(1..=255)),
        server_name in of("[a-zä.]{1,60}"),
        extended_main_secret in any::<bool>(),
        client_asked_by in of(any::<RequestId>()),
        peer_chain in of(chain()),
        extra in bytes(0..100),
    ) -> SessionState {
        SessionState {
            version, cipher_suite,
            secret: Secret::from_slice(&secret[..secret_len]).unwrap(),
            made_at, authenticated_at, lifetime, age_add, max_early_data, alpn, server_name, extended_main_secret,
            client_asked_by, peer_chain, extra,
        }
    }
}

prop_compose! {
    fn client()(state in state(), ticket in bytes(1..100), session_id in bytes(0..=32)) -> ClientSession {
        let session_id = match state.version {
            ProtocolVersion::TLS12 => session_id,
            _ => Vec::new(),
        };
        ClientSession(Arc::new(ClientSessionParts { state, ticket, session_id }))
    }
}

/// All fields: `Debug` shows them, but for the secret.
fn shown(state: &SessionState) -> (String, Vec<u8>) {
    (format!("{state:?}"), state.secret.as_bytes().to_vec())
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_client_has_again_what_it_wrote_and_nothing_that_was_changed(
        session in client(), place in any::<usize>(), change in 1u8..
    ) {
        let bytes = session.to_bytes();
        let read = ClientSession::from_bytes(&bytes).unwrap();
        prop_assert_eq!(shown(&read.0.state), shown(&session.0.state));
        prop_assert_eq!((read.ticket(), read.session_id()), (session.ticket(), session.session_id()));
        prop_assert_eq!(&read.to_bytes()[..], &bytes[..]);

        let mut changed = bytes.to_vec();
        let place = place % changed.len();
        prop_assert!(ClientSession::from_bytes(&changed[..place]).is_err());
        changed[place] ^= change;
        prop_assert!(ClientSession::from_bytes(&changed).is_err(), "byte {} made {}", place, changed[place]);
    }

    #[test]
    fn a_server_has_again_what_it_stored_and_nothing_that_was_changed(
        state in state(), place in any::<usize>(), change in 1u8..
    ) {
        let bytes = ServerSession { state: state.clone() }.to_stored_bytes();
        let read = ServerSession::from_stored_bytes(&bytes).unwrap();
        prop_assert_eq!(shown(&read.state), shown(&state));

        let mut changed = bytes.to_vec();
        let place = place % changed.len();
        prop_assert!(ServerSession::from_stored_bytes(&changed[..place]).is_err());
        changed[place] ^= change;
        prop_assert!(ServerSession::from_stored_bytes(&changed).is_err(), "byte {} made {}", place, changed[place]);
    }

    #[test]
    fn bytes_without_a_checksum_are_an_error_or_a_session_of_just_these_bytes(
        state in state(), place in any::<usize>(), change in any::<u8>()
    ) {
        let mut bytes = ServerSession { state }.to_bytes().to_vec();
        let place = place % bytes.len();
        prop_assert!(ServerSession::from_bytes(&bytes[..place]).is_err());
        bytes[place] ^= change;
        if let Ok(session) = ServerSession::from_bytes(&bytes) {
            prop_assert_eq!(&session.to_bytes()[..], &bytes[..]);
        }
    }

    #[test]
    fn a_ticket_gives_the_session_under_its_key_and_nothing_in_any_other_case(
        state in state(), key_id in any::<[u8; 16]>(), secret in any::<[u8; 32]>(), place in any::<usize>(), change in 1u8..
    ) {
        let plain = ServerSession { state: state.clone() }.to_bytes();
        let random = &mut HandshakeRandom::new().unwrap();
        let sealed = ticket::seal(Purpose::Ticket, &key_id, &secret, &plain, random).unwrap();
        let open = |id: &[u8; 16], secret: &[u8; 32], bytes: &[u8]| ticket::open(Purpose::Ticket, id, secret, bytes);
        prop_assert_eq!(ticket::key_id(&sealed), Some(&key_id));
        let read = ServerSession::from_bytes(&open(&key_id, &secret, &sealed).unwrap()).unwrap();
        prop_assert_eq!(shown(&read.state), shown(&state));
        prop_assert!(!sealed.windows(16).any(|bytes| plain.windows(16).any(|of| of == bytes)), "something is in plain");

        let mut changed = sealed.clone();
        let place = place % changed.len();
        prop_assert!(open(&key_id, &secret, &sealed[..place]).is_none());
        changed[place] ^= change;
        let id = *ticket::key_id(&changed).unwrap();
        prop_assert!(open(&id, &secret, &changed).is_none() && open(&key_id, &secret, &changed).is_none());
        let mut other = secret;
        other[place % 32] ^= change;
        prop_assert!(open(&key_id, &other, &sealed).is_none());
    }
}
