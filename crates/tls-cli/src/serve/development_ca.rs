//! A certificate for development: a CA made on the spot, and a leaf for this machine.
//!
//! A CA and a leaf, since a CA certificate that serves itself is refused by strict clients. The CA's key is never
//! written down, and its certificate is good for the names of this machine only, so that trusting it risks little.

use core::time::Duration;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use tls_tokio::CertifiedKey;

use crate::failure::Failure;

/// How long it is valid. Made anew at each start, so this is how long the server may run.
const VALID: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Clocks of other machines (and containers) may be slow.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// The CA's certificate in a file, which is removed on drop, and the leaf with its key.
#[derive(Debug)]
pub(crate) struct DevelopmentCa {
    file: PathBuf,
    leaf: CertifiedKey,
}

impl DevelopmentCa {
    /// Makes a CA and a leaf for `localhost`, `127.0.0.1`, `::1` and the address that is listened on, and writes the
    /// CA's certificate to the file, or to one in the user's state directory.
    pub(crate) fn make(file: Option<PathBuf>, listen: IpAddr, port: u16) -> Result<Self, Failure> {
        let (ca_pem, leaf) = issue(&addresses(listen))
            .map_err(|error| Failure::new(format!("cannot make a development CA: {error}")))?;
        let file = match file {
            Some(file) => write(&file, &ca_pem)
                .map(|()| file.clone())
                .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?,
            None => write_somewhere(&ca_pem, port)?,
        };
        Ok(Self { file, leaf })
    }

    /// Where the CA's certificate is, as PEM.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The leaf and its key.
    pub(crate) fn leaf(&self) -> &CertifiedKey {
        &self.leaf
    }
}

impl Drop for DevelopmentCa {
    fn drop(&mut self) {
        // Without its key it is of no more use. A file that is gone already is just as well.
        let _ = fs::remove_file(&self.file);
    }
}

fn addresses(listen: IpAddr) -> Vec<IpAddr> {
    let mut addresses = vec![
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    addresses
}

fn issue(addresses: &[IpAddr]) -> Result<(String, CertifiedKey), Box<dyn std::error::Error>> {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca_params = ca(addresses);
    let ca_pem = ca_params.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca_params, ca_key);

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let leaf_pem = leaf(addresses)?.signed_by(&key, &issuer)?.pem();
    let leaf = CertifiedKey::from_pem(leaf_pem.as_bytes(), key.serialize_pem().as_bytes())?;
    Ok((ca_pem, leaf))
}

fn ca(addresses: &[IpAddr]) -> CertificateParams {
    let subnet = |address: &IpAddr| match address {
        IpAddr::V4(v4) => CidrSubnet::V4(v4.octets(), [0xff; 4]),
        IpAddr::V6(v6) => CidrSubnet::V6(v6.octets(), [0xff; 16]),
    };
    let mut permitted = vec![GeneralSubtree::DnsName("localhost".to_owned())];
    permitted.extend(
        addresses
            .iter()
            .map(|address| GeneralSubtree::IpAddress(subnet(address))),
    );

    let mut params = common("tls serve development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    });
    params
}

fn leaf(addresses: &[IpAddr]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = common("tls serve");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("localhost".try_into()?)];
    params
        .subject_alt_names
        .extend(addresses.iter().copied().map(rcgen::SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn common(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = now.checked_sub(BACKDATED).unwrap_or(now).into();
    params.not_after = now.checked_add(VALID).unwrap_or(now).into();
    params
}

/// One file per port, so that the path stays the same from start to start and two servers do not take each other's.
fn write_somewhere(pem: &str, port: u16) -> Result<PathBuf, Failure> {
    let name = format!("development-ca-{port}.pem");
    if let Some(directory) = state_directory() {
        let file = directory.join(&name);
        if fs::create_dir_all(&directory).is_ok() && write(&file, pem).is_ok() {
            return Ok(file);
        }
    }
    // No home, or none that can be written to. A directory here that exists already may be somebody else's.
    let directory = std::env::temp_dir().join(format!("tls-{}", std::process::id()));
    let file = directory.join(&name);
    fs::create_dir(&directory)
        .and_then(|()| write(&file, pem))
        .map_err(|error| Failure::new(format!("cannot write {}: {error} (see --ca-out)", file.display())))?;
    Ok(file)
}

/// As the XDG base directory specification has it; relative paths are to be ignored.
fn state_directory() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("tls"))
}

/// By renaming, so that nobody ever reads half a file.
fn write(file: &Path, pem: &str) -> io::Result<()> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    fs::write(&unfinished, pem)?;
    fs::rename(&unfinished, file).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}
