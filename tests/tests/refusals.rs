//! Certificates that a client refuses: with which alert, and what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::Arc;

use tls_core::{
    AlertDescription, Answer, CertificateError, CertifiedKey, ClientConfig, ConnectionContext, ErrorKind,
    HookError, Misbehaviour, PrivateKey, ProtocolVersion, RootStore, ServerConfig, Side, SignatureScheme,
    SigningKey,
};
use tls_tests::both_versions;
use tls_tests::pair::{NAME, Pair, authority, certified, client, identity, server_with};
use tls_tests::pki::{Authority, Identity, KeyType, Leaf, Validity};
use tls_tests::versions::Only;

type A = AlertDescription;

both_versions!(
    a_leaf_out_of_its_time_is_refused,
    the_clock_of_the_configuration_decides,
    unknown_issuers_and_self_signed_leaves_are_refused,
    a_chain_without_its_intermediate_is_refused_with_a_hint,
    a_leaf_for_another_name_is_refused_with_both_names,
    addresses_are_names_too,
    a_ca_as_leaf_is_refused_with_a_hint,
    a_leaf_for_clients_is_refused,
    a_leaf_that_may_not_sign_is_refused_even_where_any_is_accepted,
    a_pinned_leaf_is_accepted_whatever_it_is_and_no_other,
    a_server_that_does_not_hold_the_key_is_refused_even_where_any_certificate_is_accepted,
);

fn good() -> Leaf {
    Leaf::new(KeyType::P256, &[NAME])
}

fn refusal(
    version: ProtocolVersion,
    server: &ServerConfig,
    alert: AlertDescription,
) -> (CertificateError, String) {
    refusal_by(&client().only(version).build().unwrap(), server, alert)
}

fn refusal_by(
    client: &ClientConfig,
    server: &ServerConfig,
    alert: AlertDescription,
) -> (CertificateError, String) {
    let error = Pair::new(client, server).run().refused_by(Side::Client, alert);
    let text = error.to_string();
    match error.into_kind() {
        ErrorKind::Certificate(error) => (error, text),
        other => panic!("{other}"),
    }
}

fn a_leaf_out_of_its_time_is_refused(version: ProtocolVersion) {
    let expired = server_with(&good().validity(Validity::Expired)).build().unwrap();
    let (error, text) = refusal(version, &expired, A::CERTIFICATE_EXPIRED);
    assert!(matches!(error, CertificateError::Expired { .. }), "{error}");
    assert!(text.contains("expired") && text.contains("days ago"), "{text}");
    let not_yet = server_with(&good().validity(Validity::NotYet)).build().unwrap();
    let (error, text) = refusal(version, &not_yet, A::CERTIFICATE_EXPIRED);
    assert!(matches!(error, CertificateError::NotYetValid { .. }), "{error}");
    assert!(
        text.contains("becomes valid in") && text.contains("days"),
        "{text}"
    );
}

fn the_clock_of_the_configuration_decides(version: ProtocolVersion) {
    let in_2020 = || tls_core::UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_600_000_000));
    let expired = server_with(&good().validity(Validity::Expired)).build().unwrap();
    let client = client().clock(in_2020).only(version).build().unwrap();
    Pair::new(&client, &expired).run().established().check(b"in time");
}

fn unknown_issuers_and_self_signed_leaves_are_refused(version: ProtocolVersion) {
    let stranger = Authority::new().leaf(KeyType::P256, &[NAME]);
    for identity in [stranger, good().self_signed()] {
        let server = ServerConfig::builder()
            .certificate(certified(&identity))
            .build()
            .unwrap();
        let (error, _) = refusal(version, &server, A::UNKNOWN_CA);
        assert_eq!(error, CertificateError::UnknownIssuer);
    }
}

fn a_chain_without_its_intermediate_is_refused_with_a_hint(version: ProtocolVersion) {
    let identity = identity(KeyType::P256);
    let certified = CertifiedKey::from_der(vec![identity.leaf()], &identity.key()).unwrap();
    let server = ServerConfig::builder().certificate(certified).build().unwrap();
    let (error, text) = refusal(version, &server, A::UNKNOWN_CA);
    assert_eq!(error, CertificateError::UnknownIssuer);
    assert!(text.contains("intermediates"), "{text}");
}

fn a_leaf_for_another_name_is_refused_with_both_names(version: ProtocolVersion) {
    let other = server_with(&Leaf::new(KeyType::P256, &["other.test"]))
        .build()
        .unwrap();
    let (error, text) = refusal(version, &other, A::BAD_CERTIFICATE);
    assert!(
        matches!(error, CertificateError::NotValidForName { .. }),
        "{error}"
    );
    assert!(text.contains("other.test") && text.contains(NAME), "{text}");
}

fn addresses_are_names_too(version: ProtocolVersion) {
    let server = server_with(&Leaf::new(KeyType::P256, &["192.0.2.1", "2001:db8::1"]))
        .build()
        .unwrap();
    let client = client().only(version).build().unwrap();
    for name in ["192.0.2.1", "2001:db8::1"] {
        let ends = Pair::for_name(&client, &server, name).run().established();
        assert_eq!(ends.server.negotiated().server_name(), None);
    }
    let error = Pair::for_name(&client, &server, "192.0.2.2")
        .run()
        .refused_by(Side::Client, A::BAD_CERTIFICATE);
    assert!(error.to_string().contains("192.0.2.2"), "{error}");
}

fn a_ca_as_leaf_is_refused_with_a_hint(version: ProtocolVersion) {
    let self_signed = good().ca().self_signed();
    let mut roots = RootStore::empty();
    roots.add_der(&self_signed.leaf()).unwrap();
    let trusting = ClientConfig::builder()
        .roots(roots)
        .only(version)
        .build()
        .unwrap();
    let issued = authority().issue(&good().ca());
    for (client, identity) in [
        (trusting, self_signed),
        (client().only(version).build().unwrap(), issued),
    ] {
        let server = ServerConfig::builder()
            .certificate(certified(&identity))
            .build()
            .unwrap();
        let (error, text) = refusal_by(&client, &server, A::UNKNOWN_CA);
        assert_eq!(error, CertificateError::CaUsedAsEndEntity);
        assert!(
            text.contains("openssl req -x509") && text.contains("CA:FALSE"),
            "{text}"
        );
    }
}

fn a_leaf_for_clients_is_refused(version: ProtocolVersion) {
    let (error, _) = refusal(
        version,
        &server_with(&good().client()).build().unwrap(),
        A::UNSUPPORTED_CERTIFICATE,
    );
    assert!(matches!(error, CertificateError::WrongUsage(_)), "{error}");
}

fn a_leaf_that_may_not_sign_is_refused_even_where_any_is_accepted(version: ProtocolVersion) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    let leaf = params.self_signed(&key).unwrap();
    let certified = CertifiedKey::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let server = ServerConfig::builder().certificate(certified).build().unwrap();
    let client = ClientConfig::builder()
        .dangerously_accept_any_certificate()
        .only(version)
        .build()
        .unwrap();
    let (error, text) = refusal_by(&client, &server, A::UNSUPPORTED_CERTIFICATE);
    assert!(matches!(error, CertificateError::WrongUsage(_)), "{error}");
    assert!(text.contains("digitalSignature"), "{text}");
}

fn a_pinned_leaf_is_accepted_whatever_it_is_and_no_other(version: ProtocolVersion) {
    let pinned = Leaf::new(KeyType::P256, &["other.test"])
        .validity(Validity::Expired)
        .self_signed();
    let client = ClientConfig::builder()
        .dangerously_pin_certificate(pinned.leaf())
        .only(version)
        .build()
        .unwrap();
    let of = |identity: &Identity| {
        ServerConfig::builder()
            .certificate(certified(identity))
            .build()
            .unwrap()
    };
    Pair::new(&client, &of(&pinned))
        .run()
        .established()
        .check(b"pinned");
    let (error, text) = refusal_by(&client, &of(&identity(KeyType::P256)), A::ACCESS_DENIED);
    assert!(matches!(error, CertificateError::Policy(_)), "{error}");
    assert!(text.contains("pinned"), "{text}");
}

/// A key that is not the leaf's, and says that its signatures need no check.
#[derive(Debug)]
struct Impostor(SigningKey);

impl PrivateKey for Impostor {
    fn schemes(&self) -> &[SignatureScheme] {
        self.0.schemes()
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        Answer::Now(self.0.sign(scheme, message).map_err(HookError::from))
    }

    fn is_self_checking(&self) -> bool {
        true
    }
}

fn a_server_that_does_not_hold_the_key_is_refused_even_where_any_certificate_is_accepted(
    version: ProtocolVersion,
) {
    let leaf = identity(KeyType::P256);
    let same_kind = SigningKey::from_der(&identity(KeyType::P256).key()).unwrap();
    let other_kind = SigningKey::from_der(&identity(KeyType::P384).key()).unwrap();
    let accepting = ClientConfig::builder()
        .dangerously_accept_any_certificate()
        .only(version)
        .build()
        .unwrap();
    let pinning = ClientConfig::builder()
        .dangerously_pin_certificate(leaf.leaf())
        .only(version)
        .build()
        .unwrap();
    // In TLS 1.2 the scheme names a hash, for any curve.
    let other_curve = match version {
        ProtocolVersion::TLS13 => A::ILLEGAL_PARAMETER,
        _ => A::DECRYPT_ERROR,
    };
    for (key, alert) in [(same_kind, A::DECRYPT_ERROR), (other_kind, other_curve)] {
        let certified = CertifiedKey::new(leaf.chain(), Arc::new(Impostor(key))).unwrap();
        let server = ServerConfig::builder().certificate(certified).build().unwrap();
        for client in [&accepting, &pinning, &client().only(version).build().unwrap()] {
            let error = Pair::new(client, &server).run().refused_by(Side::Client, alert);
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Misbehaved(Misbehaviour::BadSignature(_) | Misbehaviour::IllegalParameter(_))
                ),
                "{error}"
            );
        }
    }
}
