//! Certificates, revocation lists and keys, as DER or PEM: what peers present, and what is read from files.

use tls_core::pki_types::CertificateRevocationListDer;
use tls_core::pki_types::pem::PemObject as _;
use tls_core::{CertificateDer, CertificateNames, CertifiedKey, RevocationLists, RootStore};

use super::Seeds;
use super::input::Input;
use crate::pki::{Authority, KeyType};
use crate::transcript::case::directory;

pub(super) fn run(bytes: &[u8]) {
    let bytes = Input::new(bytes).rest();
    if let Some(names) = CertificateNames::of(bytes) {
        for name in &names.dns_names {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || ".-_*".contains(c);
            assert!(!name.is_empty() && name.chars().all(is_of_name), "{name:?}");
        }
        let texts = [&names.uris, &names.email_addresses].into_iter().flatten();
        for text in texts.chain(&names.common_name) {
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        }
        let all = names.dns_names.len() + names.ip_addresses.len() + names.uris.len();
        assert!(all + names.email_addresses.len() <= bytes.len());
    }
    let mut roots = RootStore::empty();
    let added = roots.add_der(&CertificateDer::from(bytes));
    assert_eq!(roots.len(), usize::from(added.is_ok()));
    if let Ok(lists) = RevocationLists::from_der(&[CertificateRevocationListDer::from(bytes)]) {
        assert_eq!(lists.len(), 1);
    }
    if bytes.is_ascii() {
        if let Ok(roots) = RootStore::from_pem(bytes) {
            assert!(!roots.is_empty());
        }
        if let Ok(lists) = RevocationLists::from_pem(bytes) {
            assert!(lists.len() > 0);
        }
        // Chain and key in one file.
        let _ = CertifiedKey::from_pem(bytes, bytes);
    }
}

/// Certificates of all kinds of the recordings, one chain with its key, and revocation lists.
pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    let read = |name: &str| std::fs::read(directory().join("pki").join(name)).expect("a fixed file");
    for identity in ["p256", "ed25519", "rsa2048", "client-p256", "wrong-name"] {
        let pem = read(&format!("{identity}-leaf.pem"));
        seeds.push((format!("{identity}.der"), der(&pem)));
        seeds.push((format!("{identity}.pem"), pem));
    }
    let both = [read("ed25519-chain.pem"), read("ed25519-key.pem")].concat();
    seeds.push(("with-key.pem".to_owned(), both));
    let authority = Authority::new();
    let identity = authority.leaf(KeyType::Ed25519, &["server.test", "127.0.0.1", "*.server.test"]);
    seeds.push(("names.der".to_owned(), identity.leaf().to_vec()));
    let lists = authority.revocation_lists(&[&identity]);
    let list = CertificateRevocationListDer::from_pem_slice(lists.as_bytes()).expect("a good list");
    seeds.push(("list.der".to_owned(), list.to_vec()));
    seeds.push(("lists.pem".to_owned(), lists.into_bytes()));
    seeds
}

/// The first certificate of this PEM.
fn der(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem)
        .expect("a fixed certificate")
        .to_vec()
}
