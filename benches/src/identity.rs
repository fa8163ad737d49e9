//! The certificate chains that the measurements use.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The name in the leaf.
pub const SERVER_NAME: &str = "bench.example";

/// The kind of all keys of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// RSA with 2048 bits; certificates are signed with PKCS #1 v1.5 and SHA-256.
    Rsa2048,
}

impl KeyKind {
    /// An RSA key is always the same one: to make one takes seconds in a debug build.
    fn key(self) -> KeyPair {
        match self {
            Self::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            Self::Rsa2048 => {
                let pem = include_str!("../../testdata/keys/rsa2048.pem");
                KeyPair::from_pem_and_sign_algo(pem, &PKCS_RSA_SHA256).unwrap()
            }
        }
    }
}

/// A server's chain and the root it leads to.
pub struct Identity {
    /// The kind of its keys.
    pub kind: KeyKind,
    /// The trust anchor, not sent.
    pub root: CertificateDer<'static>,
    /// Leaf and intermediate, as sent.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key, PKCS#8.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A fresh chain: root, intermediate, leaf.
    pub fn generate(kind: KeyKind) -> Self {
        let root_params = authority("Bench root", BasicConstraints::Unconstrained);
        let root_key = kind.key();
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);

        let middle_params = authority("Bench intermediate", BasicConstraints::Constrained(0));
        let middle_key = kind.key();
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(middle_params, middle_key);

        let mut leaf_params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        leaf_params
            .distinguished_name
            .push(DnType::CommonName, SERVER_NAME);
        leaf_params.use_authority_key_identifier_extension = true;
        leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf_params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf_key = kind.key();
        let leaf = leaf_params.signed_by(&leaf_key, &middle_issuer).unwrap();
        Self {
            kind,
            root: root.der().clone(),
            chain: vec![leaf.der().clone(), middle.der().clone()],
            key: PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into()),
        }
    }
}

fn authority(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
