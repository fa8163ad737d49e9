//! What must be remembered of a connection to resume it (section 2.2; RFC 5077 for TLS 1.2), and its form in bytes.
//!
//! The form is our own: a mark for its kind, the number of the form, then [`SessionState`] and what a kind adds.
//! Whatever is not understood in full is refused, and then a full handshake takes place.

mod client;
#[cfg(test)]
mod properties;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::crypto::hkdf::Secret;
use crate::crypto::{hash, suites};
use crate::registry::{CipherSuite, ProtocolVersion};
use crate::verify::PeerChain;
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Prefixed24, Problem, Put, Reader};

pub use client::ClientSession;
pub(crate) use client::ClientSessionParts;
pub(crate) use server::ServerSession;

/// Seconds that a session may be used for at most: seven days (section 4.6.1).
pub(crate) const MAX_LIFETIME: u32 = 604_800;

/// Milliseconds by which a session may have begun in the future: the clocks of a fleet differ a little.
const CLOCK_TOLERANCE: u64 = 60_000;

/// Bytes that a user may attach to a session.
const MAX_EXTRA: usize = 65_535;

/// The number of the form. A change of the form raises it.
const FORM: u8 = 2;

/// Bytes of the main secret of TLS 1.2 (RFC 5246 8.1).
const TLS12_SECRET_LEN: usize = 48;

/// Bytes of everything whose length does not vary, of the longest secret and of all length prefixes.
const FIXED_LEN: usize = 102;

/// Bytes at the end of a session outside of a ticket, which tell whether the others are as they were written: the
/// beginning of their SHA-256. It guards against accidents, not against whoever can write: for that seal what is stored.
const CHECKSUM_LEN: usize = 8;

const HAS_EXTENDED_MAIN_SECRET: u8 = 1;
const HAS_CHAIN: u8 = 2;
const HAS_OCSP_RESPONSE: u8 = 4;
const HAS_SCTS: u8 = 8;
const CLIENT_WAS_ASKED: u8 = 16;

/// Names a CertificateRequest: two that ask for something else have different names.
pub(crate) type RequestId = [u8; 8];

/// What both sides remember.
#[derive(Clone, Debug)]
pub(crate) struct SessionState {
    /// TLS 1.3 or TLS 1.2.
    pub(crate) version: ProtocolVersion,
    pub(crate) cipher_suite: CipherSuite,
    /// TLS 1.3: the PSK of the ticket, as long as the suite's hash. TLS 1.2: the main secret, 48 bytes.
    pub(crate) secret: Secret,
    /// When the ticket came (client) or was made (server): milliseconds since 1970.
    pub(crate) made_at: u64,
    /// When the chain of resumptions that it comes from began with a full handshake: milliseconds since 1970.
    pub(crate) authenticated_at: u64,
    /// Seconds it may be used for, at most [`MAX_LIFETIME`].
    pub(crate) lifetime: u32,
    /// What obscures the age of a TLS 1.3 ticket; 0 in TLS 1.2.
    pub(crate) age_add: u32,
    /// Bytes of early data it allows; 0 for none.
    pub(crate) max_early_data: u32,
    /// The application protocol; never empty.
    pub(crate) alpn: Option<Vec<u8>>,
    /// Client: the name or address connected to. Server: the name in the SNI, if there was one. Never empty.
    pub(crate) server_name: Option<String>,
    /// TLS 1.2: whether the secret is bound to its handshake (RFC 7627).
    pub(crate) extended_main_secret: bool,
    /// Server: by what the client was asked for a certificate in that handshake, if it was.
    pub(crate) client_asked_by: Option<RequestId>,
    /// What the peer presented. Shared, since a connection can give many sessions.
    pub(crate) peer_chain: Option<Arc<PeerChain>>,
    /// What the user attached; at most [`MAX_EXTRA`] bytes.
    pub(crate) extra: Vec<u8>,
}

impl SessionState {
    /// Whether it is older than it may be, or that much younger than now: a clock that was set back shall not make
    /// sessions live for ever. However new the ticket, the peer's certificate is only looked at again in a full
    /// handshake, and all secrets come from that: it must not be longer ago than [`MAX_LIFETIME`] (section 4.6.1).
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now.abs_diff(self.made_at) >= u64::from(self.lifetime) * 1000
            || lifetime_left(self.authenticated_at, now) == 0
            || self.authenticated_at > now.saturating_add(CLOCK_TOLERANCE)
    }

    /// Whether more than half of its lifetime is over.
    pub(crate) fn is_past_half(&self, now: u64) -> bool {
        self.age(now) > u64::from(self.lifetime) * 500
    }

    /// The age in milliseconds; 0 where the clock was set back.
    pub(crate) fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.made_at)
    }

    /// Starts the bytes of a session of this kind. `more` is what the kind adds, in bytes: with room for all, no
    /// copy of the secret stays behind in memory that was outgrown.
    fn begin(&self, mark: [u8; 4], more: usize) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.room() + more));
        out.put(&mark);
        out.put_u8(FORM);
        self.encode(&mut out);
        out
    }

    /// At least as many bytes as are written, without the texts that a kind adds.
    fn room(&self) -> usize {
        let chain = self.peer_chain.as_ref().map_or(0, |chain| {
            let certificates = chain.certificates.iter().map(|der| der.len() + 3);
            let staples = [&chain.ocsp_response, &chain.scts];
            certificates.sum::<usize>() + staples.into_iter().flatten().map(Vec::len).sum::<usize>()
        });
        let texts = self.alpn.as_ref().map_or(0, Vec::len) + self.server_name.as_ref().map_or(0, String::len);
        let asked_by = self.client_asked_by.map_or(0, |id| id.len());
        FIXED_LEN + chain + texts + asked_by + self.extra.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let chain = self.peer_chain.as_deref();
        let ocsp_response = chain.and_then(|chain| chain.ocsp_response.as_deref());
        let scts = chain.and_then(|chain| chain.scts.as_deref());
        let mut flags = 0;
        for (is_set, flag) in [
            (self.extended_main_secret, HAS_EXTENDED_MAIN_SECRET),
            (chain.is_some(), HAS_CHAIN),
            (ocsp_response.is_some(), HAS_OCSP_RESPONSE),
            (scts.is_some(), HAS_SCTS),
            (self.client_asked_by.is_some(), CLIENT_WAS_ASKED),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        out.put_u8(flags);
        out.put_u16(self.version);
        out.put_u16(self.cipher_suite);
        Prefixed8::new(out).put(self.secret.as_bytes());
        out.put(&self.made_at.to_be_bytes());
        out.put(&self.authenticated_at.to_be_bytes());
        out.put_u32(self.lifetime);
        out.put_u32(self.age_add);
        out.put_u32(self.max_early_data);
        Prefixed8::new(out).put(self.alpn.as_deref().unwrap_or_default());
        Prefixed8::new(out).put(self.server_name.as_deref().unwrap_or_default().as_bytes());
        if let Some(request) = &self.client_asked_by {
            out.put(request);
        }
        if let Some(chain) = chain {
            let mut list = Prefixed24::new(out);
            for der in &chain.certificates {
                Prefixed24::new(&mut list).put(der);
            }
        }
        if let Some(ocsp_response) = ocsp_response {
            Prefixed24::new(out).put(ocsp_response);
        }
        if let Some(scts) = scts {
            Prefixed16::new(out).put(scts);
        }
        Prefixed16::new(out).put(&self.extra);
    }

    /// Reads mark, form and state of a session of this kind.
    fn decode(reader: &mut Reader<'_>, mark: [u8; 4]) -> Result<Self, BadBytes> {
        require(
            reader,
            "mark",
            |reader| reader.array("mark"),
            |found| *found == mark,
        )?;
        require(reader, "form", |reader| reader.u8("form"), |form| *form == FORM)?;
        let known = HAS_EXTENDED_MAIN_SECRET | HAS_CHAIN | HAS_OCSP_RESPONSE | HAS_SCTS | CLIENT_WAS_ASKED;
        let flags = require(
            reader,
            "flags",
            |reader| reader.u8("flags"),
            |flags| {
                let is_staple_alone = flags & (HAS_OCSP_RESPONSE | HAS_SCTS) != 0 && flags & HAS_CHAIN == 0;
                flags & !known == 0 && !is_staple_alone
            },
        )?;
        let version = ProtocolVersion(reader.u16("version")?);
        let cipher_suite = CipherSuite(reader.u16("cipher_suite")?);
        let secret = require(
            reader,
            "secret",
            |reader| reader.vec8("secret"),
            |secret| Some(secret.remaining()) == secret_len(version, cipher_suite),
        )?
        .rest();
        let secret =
            Secret::from_slice(secret).ok_or_else(|| reader.error("secret", Problem::IllegalValue))?;
        let made_at = u64::from_be_bytes(reader.array("made_at")?);
        let authenticated_at = u64::from_be_bytes(reader.array("authenticated_at")?);
        let lifetime = require(
            reader,
            "lifetime",
            |reader| reader.u32("lifetime"),
            |lifetime| *lifetime <= MAX_LIFETIME,
        )?;
        let age_add = reader.u32("age_add")?;
        let max_early_data = reader.u32("max_early_data")?;
        let alpn = reader.vec8("alpn")?.rest();
        let server_name = require(
            reader,
            "server_name",
            |reader| Ok(core::str::from_utf8(reader.vec8("server_name")?.rest()).ok()),
            Option::is_some,
        )?;
        let mut client_asked_by = None;
        if flags & CLIENT_WAS_ASKED != 0 {
            client_asked_by = Some(reader.array("client_asked_by")?);
        }
        let mut chain = None;
        if flags & HAS_CHAIN != 0 {
            let certificates = reader.vec24("certificates")?.list(|list| {
                let der = list.vec24("certificate")?.not_empty("certificate")?.rest();
                Ok(CertificateDer::from(der.to_vec()))
            })?;
            chain = Some(PeerChain::new(certificates));
        }
        if let Some(chain) = &mut chain {
            if flags & HAS_OCSP_RESPONSE != 0 {
                chain.ocsp_response = Some(reader.vec24("ocsp_response")?.rest().to_vec());
            }
            if flags & HAS_SCTS != 0 {
                chain.scts = Some(reader.vec16("scts")?.rest().to_vec());
            }
        }
        let extra = reader.vec16("extra")?.rest().to_vec();
        Ok(Self {
            version,
            cipher_suite,
            secret,
            made_at,
            authenticated_at,
            lifetime,
            age_add,
            max_early_data,
            alpn: (!alpn.is_empty()).then(|| alpn.to_vec()),
            server_name: server_name.filter(|name| !name.is_empty()).map(str::to_owned),
            extended_main_secret: flags & HAS_EXTENDED_MAIN_SECRET != 0,
            client_asked_by,
            peer_chain: chain.map(Arc::new),
            extra,
        })
    }
}

/// What a session takes over from the one that was resumed.
#[derive(Clone, Debug)]
pub(crate) struct Inherited {
    /// As [`SessionState::authenticated_at`].
    pub(crate) authenticated_at: u64,
    /// As [`SessionState::extra`].
    pub(crate) extra: Vec<u8>,
}

impl Inherited {
    /// After a full handshake there is nothing to take over.
    pub(crate) const fn nothing(now: u64) -> Self {
        Self {
            authenticated_at: now,
            extra: Vec::new(),
        }
    }
}

impl SessionState {
    /// What the sessions of a connection take over that resumes this one.
    pub(crate) fn inheritance(&self) -> Inherited {
        Inherited {
            authenticated_at: self.authenticated_at,
            extra: self.extra.clone(),
        }
    }
}

/// Seconds until [`MAX_LIFETIME`] has passed since then. Both times in milliseconds since 1970.
pub(crate) fn lifetime_left(authenticated_at: u64, now: u64) -> u32 {
    let left = (u64::from(MAX_LIFETIME) * 1000).saturating_sub(now.saturating_sub(authenticated_at));
    // At most MAX_LIFETIME, and so it fits. What is left counts as a second.
    u32::try_from(left.div_ceil(1000)).unwrap_or(MAX_LIFETIME)
}

/// Adds the checksum.
fn put_checksum(bytes: &mut Vec<u8>) {
    let checksum = hash::sha256(bytes);
    bytes.put(checksum.get(..CHECKSUM_LEN).unwrap_or_default());
}

/// The bytes before the checksum, which must be right. Those of another kind or form are left to [`SessionState::decode`],
/// since their checksum may be another.
fn without_checksum<'a>(name: &'static str, bytes: &'a [u8], mark: [u8; 4]) -> Result<&'a [u8], BadBytes> {
    if bytes.get(..4) != Some(&mark) || bytes.get(4) != Some(&FORM) {
        return Ok(bytes);
    }
    let end = bytes.len().saturating_sub(CHECKSUM_LEN);
    let (body, checksum) = bytes.split_at_checked(end).unwrap_or_default();
    if hash::sha256(body).get(..CHECKSUM_LEN) != Some(checksum) {
        return Err(Reader::new(name, bytes).error("checksum", Problem::IllegalValue));
    }
    Ok(body)
}

/// Reads a field that must fulfil a condition; the error points to where the field starts.
fn require<'a, T>(
    reader: &mut Reader<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, BadBytes>,
    is_legal: impl FnOnce(&T) -> bool,
) -> Result<T, BadBytes> {
    let illegal = reader.error(field, Problem::IllegalValue);
    let value = read(reader)?;
    if is_legal(&value) { Ok(value) } else { Err(illegal) }
}

/// Bytes of the secret of such a session; `None` for a version or a suite that is not known.
fn secret_len(version: ProtocolVersion, cipher_suite: CipherSuite) -> Option<usize> {
    let known = suites::suite(cipher_suite).filter(|suite| suite.version == version);
    match version {
        ProtocolVersion::TLS13 => known.map(|suite| suite.hash.len()),
        ProtocolVersion::TLS12 => known.map(|_| TLS12_SECRET_LEN),
        _ => None,
    }
}
