use super::resumption::{PskOrigin, PskSchedule};
use super::*;
use crate::test_vectors::Vectors;
use crate::transcript::Transcript;

const SIMPLE: &str = include_str!("../../../../testdata/rfc8448/simple_1rtt.txt");
const RESUMED: &str = include_str!("../../../../testdata/rfc8448/resumed_0rtt.txt");
const RETRY: &str = include_str!("../../../../testdata/rfc8448/hello_retry_request.txt");

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

fn transcript(vectors: &Vectors, messages: &[&str]) -> HashValue {
    let mut transcript = Transcript::new();
    transcript.start(SHA256);
    messages
        .iter()
        .for_each(|message| transcript.add(vectors.get(message)));
    transcript.hash()
}

fn assert_keys(vectors: &Vectors, keys: &TrafficKeys, name: &str) {
    assert_eq!(keys.key(), vectors.get(&format!("{name}_key")), "{name}");
    assert_eq!(keys.iv(), vectors.get(&format!("{name}_iv")), "{name}");
}

#[test]
fn the_simple_handshake_of_rfc_8448_holds() {
    let v = Vectors::parse(SIMPLE);
    let hellos = transcript(&v, &["client_hello", "server_hello"]);
    let schedule = EarlySchedule::without_psk(SHA256).into_handshake(v.get("shared_secret"), &hellos);
    assert_eq!(schedule.client.as_bytes(), v.get("c_hs_traffic"));
    assert_eq!(schedule.server.as_bytes(), v.get("s_hs_traffic"));
    assert_eq!(schedule.main.secret.as_bytes(), v.get("main"));
    assert_keys(&v, &schedule.client.key_and_iv(16), "c_hs");
    let (keys, server_finished) = schedule.server.key_and_iv_and_finished(16);
    assert_keys(&v, &keys, "s_hs");

    let mut messages = vec![
        "client_hello",
        "server_hello",
        "encrypted_extensions",
        "certificate",
        "certificate_verify",
    ];
    let mac = server_finished.mac(&transcript(&v, &messages));
    assert_eq!(mac.as_bytes(), &v.get("server_finished")[4..]);
    assert_eq!(mac, schedule.server.finished_mac(&transcript(&v, &messages)));

    messages.push("server_finished");
    let handshake = transcript(&v, &messages);
    assert_eq!(
        schedule.client.finished_mac(&handshake).as_bytes(),
        &v.get("client_finished")[4..]
    );
    let application = schedule.main.application_secrets(&handshake);
    assert_eq!(application.client.as_bytes(), v.get("c_ap_traffic"));
    assert_eq!(application.server.as_bytes(), v.get("s_ap_traffic"));
    assert_eq!(application.exporter.as_bytes(), v.get("exporter"));
    assert_keys(&v, &application.client.key_and_iv(16), "c_ap");
    assert_keys(&v, &application.server.key_and_iv(16), "s_ap");

    messages.push("client_finished");
    let resumption = schedule.main.into_resumption(&transcript(&v, &messages));
    assert_eq!(resumption.as_bytes(), v.get("resumption"));
    assert_eq!(
        resumption.psk(v.get("ticket_nonce")).unwrap().as_bytes(),
        v.get("psk")
    );
    assert!(resumption.psk(&[0; 256]).is_err());
}

#[test]
fn the_resumed_handshake_of_rfc_8448_holds() {
    let v = Vectors::parse(RESUMED);
    let psk = Secret::from_slice(v.get("psk")).unwrap();
    let schedule = PskSchedule::new(SHA256, &psk, PskOrigin::Resumption);
    assert_eq!(schedule.early.as_bytes(), v.get("early"));

    let binder_hash = Transcript::new().hash_with_suffix(SHA256, v.get("client_hello_prefix"));
    assert_eq!(schedule.binder().mac(&binder_hash).as_bytes(), v.get("binder"));
    assert!(schedule.binder().verify(&binder_hash, v.get("binder")));
    let external = PskSchedule::new(SHA256, &psk, PskOrigin::External);
    assert!(!external.binder().verify(&binder_hash, v.get("binder")));

    let mut messages = vec!["client_hello_prefix", "binders"];
    let (early_traffic, early_exporter) = schedule.early_secrets(&transcript(&v, &messages));
    assert_eq!(early_traffic.as_bytes(), v.get("c_e_traffic"));
    assert_eq!(early_exporter.as_bytes(), v.get("e_exporter"));
    assert_keys(&v, &early_traffic.key_and_iv(16), "c_e");

    messages.push("server_hello");
    let schedule = schedule
        .into_early()
        .into_handshake(v.get("shared_secret"), &transcript(&v, &messages));
    assert_eq!(schedule.client.as_bytes(), v.get("c_hs_traffic"));
    assert_eq!(schedule.server.as_bytes(), v.get("s_hs_traffic"));
    assert_eq!(schedule.main.secret.as_bytes(), v.get("main"));

    messages.push("encrypted_extensions");
    let finished = schedule.server.finished_key();
    assert!(finished.verify(&transcript(&v, &messages), &v.get("server_finished")[4..]));
    messages.push("server_finished");
    let application = schedule.main.application_secrets(&transcript(&v, &messages));
    assert_eq!(application.client.as_bytes(), v.get("c_ap_traffic"));
    assert_eq!(application.server.as_bytes(), v.get("s_ap_traffic"));
    assert_eq!(application.exporter.as_bytes(), v.get("exporter"));
    messages.push("end_of_early_data");
    let finished = schedule.client.finished_mac(&transcript(&v, &messages));
    assert_eq!(finished.as_bytes(), &v.get("client_finished")[4..]);
    messages.push("client_finished");
    let resumption = schedule.main.into_resumption(&transcript(&v, &messages));
    assert_eq!(resumption.as_bytes(), v.get("resumption"));
}

#[test]
fn the_key_exchanges_of_rfc_8448_hold() {
    for text in [SIMPLE, RESUMED] {
        let v = Vectors::parse(text);
        // The share is followed by supported_versions only, which is six bytes long.
        let (share, _) = v.get("server_hello").split_at(v.get("server_hello").len() - 6);
        let shared = crate::crypto::key_exchange::agree_for_test(
            crate::registry::NamedGroup::X25519,
            v.get("client_private"),
            &share[share.len() - 32..],
        );
        assert_eq!(shared.as_bytes(), v.get("shared_secret"));
    }
}

#[test]
fn the_retried_handshake_of_rfc_8448_holds() {
    let v = Vectors::parse(RETRY);
    let mut transcript = Transcript::new();
    transcript.add(v.get("client_hello_1"));
    transcript.start(SHA256);
    transcript.restart_for_retry();
    for message in ["hello_retry_request", "client_hello_2", "server_hello"] {
        transcript.add(v.get(message));
    }
    assert_eq!(transcript.hash().as_bytes(), v.get("transcript_hash"));
    let shared = crate::crypto::key_exchange::agree_for_test(
        crate::registry::NamedGroup::SECP256R1,
        v.get("client_private"),
        &v.get("server_hello")[v.get("server_hello").len() - 6 - 65..][..65],
    );
    let schedule = EarlySchedule::without_psk(SHA256).into_handshake(shared.as_bytes(), &transcript.hash());
    assert_eq!(schedule.client.as_bytes(), v.get("c_hs_traffic"));
    assert_eq!(schedule.server.as_bytes(), v.get("s_hs_traffic"));
    assert_eq!(schedule.main.secret.as_bytes(), v.get("main"));
    assert_keys(&v, &schedule.client.key_and_iv(16), "c_hs");
    assert_keys(&v, &schedule.server.key_and_iv(16), "s_hs");
}

#[test]
fn the_constants_without_psk_are_what_a_psk_of_zeros_gives() {
    for hash in [SHA256, HashAlgorithm::Sha384] {
        let computed = PskSchedule::new(hash, &Secret::zeros(hash), PskOrigin::Resumption).into_early();
        assert!(
            computed
                .derived
                .constant_time_eq(&EarlySchedule::without_psk(hash).derived)
        );
    }
}

#[test]
fn an_update_gives_other_keys_of_the_wanted_length() {
    let secret = TrafficSecret {
        hash: SHA256,
        secret: Secret::from_slice(&[7; 32]).unwrap(),
    };
    let next = secret.next();
    assert_ne!(secret, next);
    assert_eq!(next.key_and_iv(32).key().len(), 32);
    assert_eq!(next.key_and_iv(16).key().len(), 16);
    assert_ne!(next.key_and_iv(32).key()[..16], *next.key_and_iv(16).key());
    assert_eq!(
        next.key_and_iv(16).key(),
        next.key_and_iv_and_finished(16).0.key()
    );
}

#[test]
fn an_export_depends_on_label_and_context_and_has_bounds() {
    for hash in [SHA256, HashAlgorithm::Sha384] {
        let exporter = Exporter {
            hash,
            secret: Secret::zeros(hash),
        };
        let export = |label: &[u8], context: &[u8]| {
            let mut out = [0; 100];
            exporter.export(&mut out, label, context).map(|()| out)
        };
        let first = export(b"EXPORTER-a", b"x").unwrap();
        assert_eq!(first, export(b"EXPORTER-a", b"x").unwrap());
        assert_ne!(first, export(b"EXPORTER-b", b"x").unwrap());
        assert_ne!(first, export(b"EXPORTER-a", b"y").unwrap());
        assert!(export(&[b'l'; MAX_LABEL_LEN], &[0; 1000]).is_ok());
        assert!(export(&[b'l'; MAX_LABEL_LEN + 1], b"").is_err());
        assert!(exporter.export(&mut vec![0; 255 * hash.len()], b"l", b"").is_ok());
        assert!(
            exporter
                .export(&mut vec![0; 255 * hash.len() + 1], b"l", b"")
                .is_err()
        );
    }
}
