//! Whose certificates are welcome.

use super::*;
use tls_core::{CertificateDer, Driver, MemoryCertificates};
use tls_core::{CertificateQuery, CertificateResolver, CertifiedKey, HookError, SignatureScheme};
use tls_tests::both_versions;
use tls_tests::hello::{Hello, record};
use tls_tests::pair::certified;
use tls_tests::pki::{Authority, Identity};

both_versions!(
    the_client_is_told_whose_certificates_are_welcome,
    the_client_is_told_how_to_sign,
    a_client_chooses_by_the_authorities_it_is_told,
);

/// Presents nothing, and remembers what it was asked.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Query>>);

/// Schemes and authorities.
type Query = (Vec<SignatureScheme>, Vec<Vec<u8>>);

impl CertificateResolver for Asked {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        let asked = (query.schemes.to_vec(), query.authorities.to_vec());
        self.0.lock().unwrap().push(asked);
        Answer::Now(Ok(None))
    }
}

/// What a client is asked by a server with this configuration.
fn asked(version: ProtocolVersion, server: ServerConfigBuilder) -> Query {
    let resolver = Arc::new(Asked::default());
    let client = pair::client()
        .certificate_resolver(resolver.clone())
        .only(version);
    let server = server.only(version).build().unwrap();
    let outcome = Pair::new(&client.build().unwrap(), &server).run();
    outcome.established().check(b"data");
    let asked = resolver.0.lock().unwrap().pop();
    asked.expect("it was asked")
}

/// Roots of so many authorities.
fn many_roots(count: usize) -> RootStore {
    let root = Authority::new().root_der();
    let mut roots = RootStore::empty();
    (0..count).for_each(|_| roots.add_der(&root).unwrap());
    roots
}

fn the_client_is_told_whose_certificates_are_welcome(version: ProtocolVersion) {
    let authorities = |auth| asked(version, pair::server().client_auth(auth)).1;
    let requested = |roots: RootStore| ClientAuth::requested(Arc::new(WebPkiVerifier::new(roots)));

    let names = authorities(requested(roots()));
    // The subject of the root as it stands in the certificate.
    let root = authority().root_der();
    let name = &names[0];
    assert_eq!(names.len(), 1);
    assert_eq!((name[0], usize::from(name[1])), (0x30, name.len() - 2));
    assert!(root.windows(name.len()).any(|window| window == name));
    assert!(String::from_utf8_lossy(name).contains("Test root"));

    assert_eq!(authorities(requested(many_roots(64))).len(), 64);
    assert!(authorities(requested(many_roots(65))).is_empty());
    let own = vec![vec![0x30, 0], vec![0x30, 2, 5, 0]];
    assert_eq!(authorities(requested(roots()).authorities(own.clone())), own);
    assert!(authorities(requested(roots()).authorities([])).is_empty());
    assert!(authorities(ClientAuth::requested(Told::to(How::Accept))).is_empty());
}

fn the_client_is_told_how_to_sign(version: ProtocolVersion) {
    let schemes = [
        SignatureScheme::RSA_PSS_RSAE_SHA256,
        SignatureScheme::ECDSA_SECP256R1_SHA256,
    ];
    let server = pair::server().signature_schemes(schemes);
    let server = server.client_auth(ClientAuth::requested(web_pki()));
    assert_eq!(asked(version, server).0, schemes);
}

#[test]
fn kinds_of_keys_that_no_scheme_is_for_are_not_asked_for_in_tls12() {
    let rsa = [SignatureScheme::RSA_PKCS1_SHA256];
    // The client drops schemes whose kind of key the request does not name.
    let server = pair::server().client_auth(ClientAuth::requested(web_pki()));
    let (schemes, _) = asked(ProtocolVersion::TLS12, server.signature_schemes(rsa));
    assert_eq!(schemes, rsa);
}

#[test]
fn names_that_cannot_be_sent_are_a_configuration_error() {
    let build = |names: Vec<Vec<u8>>| {
        let auth = ClientAuth::requested(web_pki()).authorities(names);
        pair::server().client_auth(auth).build()
    };
    assert!(build(vec![vec![7; 59_998]]).is_ok());
    let error = build(vec![vec![7; 59_999]]).unwrap_err();
    assert!(error.to_string().contains("60000 bytes"), "{error}");
    assert!(build(vec![Vec::new()]).is_err());
}

/// Of several certificates a client presents one that the server's authorities issued, and none if there is none; of one
/// alone it makes no such choice.
fn a_client_chooses_by_the_authorities_it_is_told(version: ProtocolVersion) {
    let (ours, other) = (authority(), Authority::new());
    let leaf = Leaf::new(KeyType::P256, &["client.test"]).client();
    let [first, second] = [other.issue(&leaf), ours.issue(&leaf)];
    let presented = |identities: &[&Identity], auth: ClientAuth| {
        let certificates = identities.iter().map(|identity| certified(identity));
        let resolver = Arc::new(MemoryCertificates::new(certificates));
        let client = pair::client()
            .certificate_resolver(resolver)
            .only(version)
            .build()
            .unwrap();
        let server = pair::server().client_auth(auth).build().unwrap();
        let ends = Pair::new(&client, &server).run().established();
        ends.server.negotiated().peer_certificates().first().cloned()
    };
    let leaf_of = |identity: &Identity| Some(identity.chain()[0].clone());
    let anybody = || ClientAuth::requested(Told::to(How::Accept));
    let known = || ClientAuth::requested(web_pki());
    assert_eq!(presented(&[&first, &second], known()), leaf_of(&second));
    assert_eq!(
        presented(&[&first, &second], anybody()),
        leaf_of(&first),
        "no authority is named"
    );
    let strangers = anybody().authorities([b"\x30\x00".to_vec()]);
    assert_eq!(presented(&[&first, &second], strangers), None);
    let strangers = anybody().authorities([b"\x30\x00".to_vec()]);
    assert_eq!(presented(&[&first], strangers), leaf_of(&first));
}

/// The DER name of the issuer of this identity's leaf.
fn issuer(identity: &Identity) -> Vec<u8> {
    let mut roots = RootStore::empty();
    roots.add_der(&identity.chain()[1]).unwrap();
    WebPkiVerifier::new(roots).authorities().remove(0)
}

/// Remembers the leaf that was chosen.
#[derive(Debug)]
struct Chooses(MemoryCertificates, Mutex<Option<CertificateDer<'static>>>);

impl CertificateResolver for Chooses {
    fn resolve<'a>(
        &'a self,
        query: &'a CertificateQuery<'a>,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<Arc<CertifiedKey>>, HookError>> {
        let answer = self.0.resolve(query, context);
        if let Answer::Now(Ok(Some(chosen))) = &answer {
            *self.1.lock().unwrap() = Some(chosen.chain()[0].clone());
        }
        answer
    }
}

#[test]
fn a_client_that_names_authorities_gets_no_certificate_of_another_site() {
    const CERTIFICATE_AUTHORITIES: u16 = 47;
    let other = Authority::new();
    let public = [authority(), &other].map(|authority| authority.leaf(KeyType::P256, &[NAME]));
    let hidden = other.leaf(KeyType::P256, &["hidden.test"]);
    let client = pair::client().build().unwrap();
    let presented = |identities: &[&Identity], authorities: &[Vec<u8>]| {
        let mut driver = Driver::client(&client, name(NAME));
        driver.advance().unwrap();
        let mut hello = Hello::parse(&driver.transmit());
        let mut list = Vec::new();
        for name in authorities {
            list.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            list.extend(name);
        }
        let mut body = u16::try_from(list.len()).unwrap().to_be_bytes().to_vec();
        body.extend(list);
        if !authorities.is_empty() {
            hello.extensions.insert(0, (CERTIFICATE_AUTHORITIES, body));
        }
        let certificates = MemoryCertificates::new(identities.iter().map(|identity| certified(identity)));
        let resolver = Arc::new(Chooses(certificates, Mutex::default()));
        let server = ServerConfig::builder().certificate_resolver(resolver.clone());
        let mut server = Driver::server(&server.build().unwrap());
        for piece in hello.message().chunks(16_000) {
            server.receive(&record(22, piece));
        }
        server.advance().unwrap();
        resolver.1.lock().unwrap().take().unwrap()
    };
    let leaf = |identity: &Identity| identity.chain()[0].clone();
    let [first, second] = &public;
    assert_eq!(presented(&[first, &hidden], &[issuer(&hidden)]), leaf(first));
    assert_eq!(presented(&[first, second], &[issuer(second)]), leaf(second));
    assert_eq!(presented(&[first, second], &[]), leaf(first));
    // So many are no choice any more.
    let many = vec![issuer(second); 257];
    assert_eq!(presented(&[first, second], &many), leaf(first));
    assert_eq!(presented(&[first, second], &many[1..]), leaf(second));
}
