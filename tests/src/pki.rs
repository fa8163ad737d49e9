//! Certificates for tests: a root, an intermediate, and leaves that are right or wrong in one chosen way.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The kinds of keys that a certificate can have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeyType {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
}

impl KeyType {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    /// A key: made now for the curves of NIST, one of the published test keys (`testdata/keys`) for the others.
    ///
    /// RSA is slow to generate. Ed25519 is stored because `OpenSSL` 3.0 cannot read the PKCS#8 version 2 that
    /// AWS-LC writes.
    #[must_use]
    pub fn key_pair(self) -> KeyPair {
        let stored = |pem: &str| KeyPair::from_pem(pem).expect("a stored test key is readable");
        let generated = |algorithm| KeyPair::generate_for(algorithm).expect("a key can be generated");
        match self {
            Self::P256 => generated(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => generated(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::P521 => generated(&rcgen::PKCS_ECDSA_P521_SHA512),
            Self::Rsa2048 => stored(include_str!("../../testdata/keys/rsa2048.pem")),
            Self::Rsa3072 => stored(include_str!("../../testdata/keys/rsa3072.pem")),
            Self::Rsa4096 => stored(include_str!("../../testdata/keys/rsa4096.pem")),
            Self::Ed25519 => stored(include_str!("../../testdata/keys/ed25519.pem")),
        }
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Validity {
    /// 2020 to 2099.
    #[default]
    Now,
    /// Ended with the year 2020.
    Expired,
    /// Begins in 2090.
    NotYet,
}

/// What a leaf shall look like; [`Leaf::new`] is a good one, each method makes one thing different.
#[derive(Clone, Debug)]
pub struct Leaf {
    key_type: KeyType,
    names: Vec<String>,
    validity: Validity,
    is_ca: bool,
    usage: ExtendedKeyUsagePurpose,
    key_usages: Vec<KeyUsagePurpose>,
}

impl Leaf {
    /// A server's leaf, valid now, for these DNS names and IP addresses.
    #[must_use]
    pub fn new(key_type: KeyType, names: &[&str]) -> Self {
        Self {
            key_type,
            names: names.iter().map(ToString::to_string).collect(),
            validity: Validity::Now,
            is_ca: false,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            key_usages: vec![KeyUsagePurpose::DigitalSignature],
        }
    }

    /// Another time of validity.
    #[must_use]
    pub fn validity(self, validity: Validity) -> Self {
        Self { validity, ..self }
    }

    /// Marked as a CA (`CA:TRUE`), as `openssl req -x509` makes them.
    #[must_use]
    pub fn ca(self) -> Self {
        Self { is_ca: true, ..self }
    }

    /// For a client: extended key usage clientAuth.
    #[must_use]
    pub fn client(self) -> Self {
        Self {
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ..self
        }
    }

    /// With a keyUsage that does not let it sign handshakes: keyAgreement alone.
    #[must_use]
    pub fn not_for_signing(self) -> Self {
        Self {
            key_usages: vec![KeyUsagePurpose::KeyAgreement],
            ..self
        }
    }

    /// This leaf signed by its own key: no chain, its issuer is itself.
    #[must_use]
    pub fn self_signed(self) -> Identity {
        let key = self.key_type.key_pair();
        let params = self.params();
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        Identity::new(vec![certificate.der().clone()], &key, &params)
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).expect("the names are good names");
        let name = self.names.first().map_or("nameless", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = match self.validity {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1)),
            Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Validity::NotYet => (date_time_ymd(2090, 1, 1), date_time_ymd(2099, 1, 1)),
        };
        params.key_usages.clone_from(&self.key_usages);
        params.serial_number = Some(next_serial());
        params.is_ca = IsCa::ExplicitNoCa;
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

/// A number that nothing else has here.
fn next_serial() -> SerialNumber {
    static NEXT: AtomicUsize = AtomicUsize::new(1000);
    (NEXT.fetch_add(1, Ordering::Relaxed) as u64).into()
}

/// A root and an intermediate below it, which signs the leaves.
pub struct Authority {
    /// Part of its names.
    number: usize,
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    root_issuer: Issuer<'static, KeyPair>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// With P-256 keys. Two calls give two authorities that know nothing of each other ("unknown issuer").
    #[must_use]
    pub fn new() -> Self {
        Self::with_key_type(KeyType::P256)
    }

    /// With keys of this kind for root and intermediate. A stored key (RSA, Ed25519) is then the same for both.
    #[must_use]
    pub fn with_key_type(key_type: KeyType) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        // With the same names, a leaf of one would look like a forged one of the other.
        Self::make(key_type, MADE.fetch_add(1, Ordering::Relaxed))
    }

    /// One of the same names with other keys (P-256), as if this one had been thrown away and made anew.
    #[must_use]
    pub fn made_anew(&self) -> Self {
        Self::make(KeyType::P256, self.number)
    }

    fn make(key_type: KeyType, number: usize) -> Self {
        let ca = |name: &str, depth| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
            params
                .distinguished_name
                .push(DnType::CommonName, format!("{name} {number}"));
            params.is_ca = IsCa::Ca(depth);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2099, 1, 1);
            params
        };
        let root_key = key_type.key_pair();
        let root_params = ca("Test root", BasicConstraints::Unconstrained);
        let root = root_params
            .self_signed(&root_key)
            .expect("a certificate can be signed");
        let root_issuer = Issuer::new(root_params, root_key);

        let key = key_type.key_pair();
        let mut params = ca("Test intermediate", BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        let intermediate = params
            .signed_by(&key, &root_issuer)
            .expect("a certificate can be signed");
        Self {
            number,
            root: root.der().clone(),
            intermediate: intermediate.der().clone(),
            root_issuer,
            issuer: Issuer::new(params, key),
        }
    }

    /// A good server leaf for these names.
    #[must_use]
    pub fn leaf(&self, key_type: KeyType, names: &[&str]) -> Identity {
        self.issue(&Leaf::new(key_type, names))
    }

    /// This leaf, signed by the intermediate.
    #[must_use]
    pub fn issue(&self, leaf: &Leaf) -> Identity {
        let key = leaf.key_type.key_pair();
        let params = leaf.params();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate can be signed");
        let chain = vec![certificate.der().clone(), self.intermediate.clone()];
        Identity::new(chain, &key, &params)
    }

    /// The lists of root and intermediate as PEM; the latter revokes these. Not due for renewal before 2099.
    #[must_use]
    pub fn revocation_lists(&self, revoked: &[&Identity]) -> String {
        self.revocation_lists_until(2099, revoked)
    }

    /// The same, but they are due for renewal with the beginning of this year.
    #[must_use]
    pub fn revocation_lists_until(&self, year: i32, revoked: &[&Identity]) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2020, 2, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = |revoked_certs, issuer: &Issuer<'_, KeyPair>| {
            let params = CertificateRevocationListParams {
                this_update: date_time_ymd(2020, 2, 1),
                next_update: date_time_ymd(year, 1, 1),
                crl_number: next_serial(),
                issuing_distribution_point: None,
                revoked_certs,
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = params.signed_by(issuer).expect("a list can be signed");
            list.pem().expect("a list has a PEM")
        };
        list(Vec::new(), &self.root_issuer) + &list(revoked.collect(), &self.issuer)
    }

    /// The root, DER.
    #[must_use]
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    /// The root, PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        pem("CERTIFICATE", &self.root)
    }

    /// The root as a file `ca.pem` in this directory.
    pub fn write_root(&self, directory: &Path) -> PathBuf {
        write(directory, "ca.pem", &self.root_pem())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A chain, leaf first and without its root, and the key of the leaf (PKCS#8).
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    serial: SerialNumber,
}

impl Identity {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair, params: &CertificateParams) -> Self {
        Self {
            serial: params.serial_number.clone().expect("leaves are numbered"),
            chain,
            key: key.serialize_der(),
        }
    }

    /// The chain, leaf first, DER.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The leaf, DER.
    #[must_use]
    pub fn leaf(&self) -> CertificateDer<'static> {
        self.chain[0].clone()
    }

    /// The leaf's key, PKCS#8 DER.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// The chain, leaf first, PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|certificate| pem("CERTIFICATE", certificate))
            .collect()
    }

    /// The leaf's key, PKCS#8 PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }

    /// As files in this directory. The names begin with `prefix`, so that a directory can hold several.
    pub fn write_to(&self, directory: &Path, prefix: &str) -> IdentityFiles {
        let issuers: String = self.chain[1..]
            .iter()
            .map(|certificate| pem("CERTIFICATE", certificate))
            .collect();
        IdentityFiles {
            chain: write(directory, &format!("{prefix}-chain.pem"), &self.chain_pem()),
            leaf: write(
                directory,
                &format!("{prefix}-leaf.pem"),
                &pem("CERTIFICATE", &self.chain[0]),
            ),
            issuers: (self.chain.len() > 1)
                .then(|| write(directory, &format!("{prefix}-issuers.pem"), &issuers)),
            key: write(directory, &format!("{prefix}-key.pem"), &self.key_pem()),
        }
    }
}

/// Where [`Identity::write_to`] put things. All files are PEM.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    /// Leaf and issuers in one file.
    pub chain: PathBuf,
    /// The leaf alone.
    pub leaf: PathBuf,
    /// The chain without the leaf (`openssl s_server -cert_chain`); `None` where there is nothing but the leaf.
    pub issuers: Option<PathBuf>,
    /// The key, PKCS#8.
    pub key: PathBuf,
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// PEM of RFC 7468: base64 in lines of 64 characters.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for group in der.chunks(3) {
        let word = group
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 63;
            base64.push(if place > group.len() {
                '='
            } else {
                char::from(ALPHABET[sextet as usize])
            });
        }
    }
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
