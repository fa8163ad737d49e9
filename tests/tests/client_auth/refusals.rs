//! Certificates that do not get in, and what the client is told.

use super::*;
use rustls_pki_types::UnixTime;
use tls_core::{ExpectedPeer, PeerChain, VerifyRequest};
use tls_tests::both_versions;
use tls_tests::pair::Outcome;
use tls_tests::pki::{Authority, Validity};

both_versions!(
    a_chain_of_another_authority_is_unknown,
    an_expired_certificate_is_refused_and_says_for_how_long,
    a_server_s_certificate_is_no_client_s,
    a_key_that_may_not_sign_is_refused,
    a_ca_is_no_client,
    a_chain_that_is_too_long_is_refused_unseen,
    a_revoked_certificate_is_refused,
    lists_that_are_missing_or_old_refuse_unless_told_otherwise,
    a_bad_certificate_is_refused_also_where_none_is_required,
);

fn refused_by(version: ProtocolVersion, auth: ClientAuth, identity: &Identity, alert: A) -> Error {
    let server = server(version).client_auth(auth).build().unwrap();
    let outcome: Outcome = Pair::new(&client(version, Some(identity)), &server).run();
    outcome.refused_by(Side::Server, alert)
}

fn refused(version: ProtocolVersion, identity: &Identity, alert: A) -> Error {
    refused_by(version, ClientAuth::required(web_pki()), identity, alert)
}

fn a_chain_of_another_authority_is_unknown(version: ProtocolVersion) {
    let identity = Authority::new().issue(&good());
    let error = refused(version, &identity, A::UNKNOWN_CA);
    assert_eq!(*refusal(&error), CertificateError::UnknownIssuer);
}

fn an_expired_certificate_is_refused_and_says_for_how_long(version: ProtocolVersion) {
    let error = refused(
        version,
        &issue(&good().validity(Validity::Expired)),
        A::CERTIFICATE_EXPIRED,
    );
    assert!(error.to_string().contains("it expired"), "{error}");
    let error = refused(
        version,
        &issue(&good().validity(Validity::NotYet)),
        A::CERTIFICATE_EXPIRED,
    );
    assert!(error.to_string().contains("it becomes valid in"), "{error}");
}

fn a_server_s_certificate_is_no_client_s(version: ProtocolVersion) {
    let identity = issue(&Leaf::new(KeyType::P256, &["client.test"]));
    let error = refused(version, &identity, A::UNSUPPORTED_CERTIFICATE);
    assert!(
        matches!(refusal(&error), CertificateError::WrongUsage(_)),
        "{error}"
    );
}

fn a_key_that_may_not_sign_is_refused(version: ProtocolVersion) {
    let identity = issue(&good().not_for_signing());
    let error = refused(version, &identity, A::UNSUPPORTED_CERTIFICATE);
    assert!(error.to_string().contains("digitalSignature"), "{error}");
    // Whatever the verifier says.
    let told = ClientAuth::required(Told::to(How::Accept));
    drop(refused_by(version, told, &identity, A::UNSUPPORTED_CERTIFICATE));
}

fn a_ca_is_no_client(version: ProtocolVersion) {
    let identity = good().ca().self_signed();
    let mut roots = RootStore::empty();
    roots.add_der(&identity.leaf()).unwrap();
    let verifier = Arc::new(WebPkiVerifier::new(roots));
    let error = refused_by(version, ClientAuth::required(verifier), &identity, A::UNKNOWN_CA);
    assert_eq!(*refusal(&error), CertificateError::CaUsedAsEndEntity);
}

fn a_chain_that_is_too_long_is_refused_unseen(version: ProtocolVersion) {
    let identity = issue(&good());
    for (more, is_refused) in [(8, false), (9, true)] {
        let mut chain = identity.chain();
        chain.extend(vec![authority().root_der(); more]);
        let key = tls_core::CertifiedKey::from_der(chain, &identity.key()).unwrap();
        let client = pair::client().certificate(key).only(version).build().unwrap();
        let verifier = Told::to(How::Accept);
        let server = server(version).client_auth(ClientAuth::required(verifier.clone()));
        let outcome = Pair::new(&client, &server.build().unwrap()).run();
        if is_refused {
            let error = outcome.refused_by(Side::Server, A::BAD_CERTIFICATE);
            assert_eq!(*refusal(&error), CertificateError::ChainTooLong);
            assert_eq!(verifier.asked(), 0);
        } else {
            let ends = outcome.established();
            assert_eq!(ends.server.negotiated().peer_certificates().len(), 10);
        }
    }
}

fn a_revoked_certificate_is_refused(version: ProtocolVersion) {
    let [revoked, other] = [issue(&good()), issue(&good())];
    let verifier = with_lists(&authority().revocation_lists(&[&revoked]));
    let auth = || ClientAuth::required(verifier.clone());
    let error = refused_by(version, auth(), &revoked, A::CERTIFICATE_REVOKED);
    assert_eq!(*refusal(&error), CertificateError::Revoked);
    let server = server(version).client_auth(auth()).build().unwrap();
    assert!(!meet(&client(version, Some(&other)), &server, Some(&other)));
}

fn lists_that_are_missing_or_old_refuse_unless_told_otherwise(version: ProtocolVersion) {
    let identity = issue(&good());
    let old = authority().revocation_lists_until(2021, &[]);
    let foreign = Authority::new().revocation_lists(&[]);
    let lists = |pem: &str| RevocationLists::from_pem(pem.as_bytes()).unwrap();
    let auth = |lists| ClientAuth::required(Arc::new(WebPkiVerifier::new(roots()).revocation_lists(lists)));
    for (strict, lax) in [
        (lists(&old), lists(&old).allow_expired()),
        (lists(&foreign), lists(&foreign).allow_unknown()),
    ] {
        let error = refused_by(version, auth(strict), &identity, A::CERTIFICATE_UNKNOWN);
        assert!(
            matches!(refusal(&error), CertificateError::RevocationUnknown(_)),
            "{error}"
        );
        let server = server(version).client_auth(auth(lax)).build().unwrap();
        assert!(!meet(&client(version, Some(&identity)), &server, Some(&identity)));
    }
    // The list of the intermediate is enough for its leaves, that of the root is not.
    let both = authority().revocation_lists(&[]);
    let end = "-----END X509 CRL-----\n";
    let (of_root, of_intermediate) = both.split_at(both.find(end).unwrap() + end.len());
    for (only, leaf_only, is_refused) in [
        (of_intermediate, true, false),
        (of_intermediate, false, true),
        (of_root, true, true),
    ] {
        let lists = lists(only);
        let auth = auth(if leaf_only { lists.end_entity_only() } else { lists });
        if is_refused {
            drop(refused_by(version, auth, &identity, A::CERTIFICATE_UNKNOWN));
        } else {
            let server = server(version).client_auth(auth).build().unwrap();
            assert!(!meet(&client(version, Some(&identity)), &server, Some(&identity)));
        }
    }
}

fn a_bad_certificate_is_refused_also_where_none_is_required(version: ProtocolVersion) {
    let identity = issue(&good().validity(Validity::Expired));
    drop(refused_by(
        version,
        ClientAuth::requested(web_pki()),
        &identity,
        A::CERTIFICATE_EXPIRED,
    ));
}

#[test]
fn a_client_refuses_a_revoked_server() {
    let identity = pair::identity(KeyType::P256);
    let server = ServerConfig::builder().certificate(certified(&identity));
    let server = server.build().unwrap();
    let client = |lists: &str| {
        let client = ClientConfig::builder().verifier(with_lists(lists));
        client.build().unwrap()
    };
    let good = client(&authority().revocation_lists(&[]));
    Pair::new(&good, &server).run().established().check(b"data");
    let strict = client(&authority().revocation_lists(&[&identity]));
    let outcome = Pair::new(&strict, &server).run();
    drop(outcome.refused_by(Side::Client, A::CERTIFICATE_REVOKED));
    assert_ne!(good.session_key(&name(NAME)), strict.session_key(&name(NAME)));
}

#[test]
fn lists_that_are_no_lists_are_a_configuration_error() {
    for pem in [
        String::new(),
        authority().root_pem(),
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".into(),
    ] {
        assert!(RevocationLists::from_pem(pem.as_bytes()).is_err(), "{pem}");
    }
    let lists = RevocationLists::from_pem(authority().revocation_lists(&[]).as_bytes()).unwrap();
    assert_eq!(lists.len(), 2);
}

#[test]
fn of_several_lists_of_one_issuer_the_newest_counts_in_any_order() {
    let identity = issue(&good());
    let before = authority().revocation_lists(&[]);
    let after = authority().revocation_lists(&[&identity]);
    let expired = authority().revocation_lists_until(2021, &[]);
    let verify = |lists: [&String; 2]| {
        let pem = lists.map(String::as_str).concat();
        let lists = RevocationLists::from_pem(pem.as_bytes()).unwrap();
        let verifier = WebPkiVerifier::new(roots()).revocation_lists(lists);
        let chain = PeerChain::new(identity.chain());
        let request = VerifyRequest::new(&chain, ExpectedPeer::Client, UnixTime::now());
        let Answer::Now(verified) = verifier.verify(&request, &ConnectionContext::new()) else {
            panic!("it is in memory")
        };
        (verified.map(|_| ()), verifier.security_domain())
    };
    let revoked = verify([&before, &after]);
    assert_eq!(revoked.0, Err(CertificateError::Revoked));
    assert_eq!(verify([&after, &before]), revoked);
    // `expired` was made last, and so it is the newest.
    for lists in [[&before, &expired], [&expired, &before]] {
        let (verified, _) = verify(lists);
        assert!(
            matches!(verified, Err(CertificateError::RevocationUnknown(_))),
            "{verified:?}"
        );
    }
}
