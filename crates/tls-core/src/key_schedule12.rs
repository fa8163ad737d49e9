//! The key schedule of TLS 1.2: all comes from the main secret by the PRF (RFC 5246 6.3 and 8.1, RFC 7627).

use core::fmt;

use zeroize::Zeroize;

use crate::crypto::aead::IV_LEN;
use crate::crypto::constant_time_eq;
use crate::crypto::hash::{HashAlgorithm, HashValue};
use crate::crypto::prf::prf;
use crate::crypto::suites::Suite;
use crate::error::{Error, ErrorKind, Misuse, Side};
use crate::key_schedule::TrafficKeys;

/// Bytes of the main secret (RFC 5246 8.1).
pub(crate) const MAIN_SECRET_LEN: usize = 48;

/// Bytes of a Finished (RFC 5246 7.4.9).
pub(crate) const VERIFY_DATA_LEN: usize = 12;

/// Bytes of the part of a nonce that is no part of the record, with AES-GCM (RFC 5288 3).
const SALT_LEN: usize = 4;

/// Bytes of the longest key block: keys of AES-256 or ChaCha20, and IVs of the latter.
const MAX_KEY_BLOCK_LEN: usize = 2 * (32 + 12);

const MAIN_SECRET: &[u8] = b"master secret";
const EXTENDED_MAIN_SECRET: &[u8] = b"extended master secret";
const KEY_EXPANSION: &[u8] = b"key expansion";
const CLIENT_FINISHED: &[u8] = b"client finished";
const SERVER_FINISHED: &[u8] = b"server finished";

/// The random bytes of both hellos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Randoms {
    pub(crate) client: [u8; 32],
    pub(crate) server: [u8; 32],
}

impl Randoms {
    /// Client first: the order of the main secret and of the exporter.
    fn client_first(&self) -> [&[u8]; 2] {
        [&self.client, &self.server]
    }

    /// Server first: the order of the key block (RFC 5246 6.3).
    fn server_first(&self) -> [&[u8]; 2] {
        [&self.server, &self.client]
    }
}

/// The main secret (called master secret in RFC 5246) with the randoms: wiped when dropped, never shown. It is also
/// the exporter.
pub(crate) struct MainSecret12 {
    hash: HashAlgorithm,
    randoms: Randoms,
    secret: [u8; MAIN_SECRET_LEN],
}

/// Keys and IVs of both directions. With AES-GCM the IVs are the salt and eight zero bytes.
#[derive(Debug)]
pub(crate) struct KeyBlock {
    pub(crate) client: TrafficKeys,
    pub(crate) server: TrafficKeys,
}

impl KeyBlock {
    /// The keys that this side writes with.
    pub(crate) const fn of(&self, writer: Side) -> &TrafficKeys {
        match writer {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl MainSecret12 {
    /// The extended main secret (RFC 7627 4); `session_hash` covers ClientHello...ClientKeyExchange.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn extended(
        hash: HashAlgorithm,
        shared_secret: &[u8],
        session_hash: &HashValue,
        randoms: Randoms,
    ) -> Result<Self, Error> {
        let seed = [session_hash.as_bytes(), &[]];
        Self::derive(hash, shared_secret, EXTENDED_MAIN_SECRET, seed, randoms)
    }

    /// The main secret that only the randoms are bound to (RFC 5246 8.1), for peers without the extension.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn from_randoms(
        hash: HashAlgorithm,
        shared_secret: &[u8],
        randoms: Randoms,
    ) -> Result<Self, Error> {
        Self::derive(hash, shared_secret, MAIN_SECRET, randoms.client_first(), randoms)
    }

    /// The main secret of an earlier session, with the randoms of this connection (RFC 5246 section 7.3).
    ///
    /// # Errors
    /// [`ErrorKind::Crypto`] for a secret of another length than 48 bytes.
    pub(crate) fn resumed(hash: HashAlgorithm, secret: &[u8], randoms: Randoms) -> Result<Self, Error> {
        let secret = *secret
            .first_chunk()
            .filter(|_| secret.len() == MAIN_SECRET_LEN)
            .ok_or_else(|| Error::new(ErrorKind::Crypto("main secret of a session")))?;
        Ok(Self {
            hash,
            randoms,
            secret,
        })
    }

    /// The client's random, by which the key log names the connection.
    pub(crate) const fn client_random(&self) -> &[u8; 32] {
        &self.randoms.client
    }

    fn derive(
        hash: HashAlgorithm,
        shared_secret: &[u8],
        label: &[u8],
        seed: [&[u8]; 2],
        randoms: Randoms,
    ) -> Result<Self, Error> {
        let mut main = Self {
            hash,
            randoms,
            secret: [0; MAIN_SECRET_LEN],
        };
        prf(hash, shared_secret, label, seed, &mut main.secret)?;
        Ok(main)
    }

    /// The keys of both directions (RFC 5246 6.3). AEAD suites have no MAC keys.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn key_block(&self, suite: &Suite) -> Result<KeyBlock, Error> {
        let key_len = suite.key_len();
        let iv_len = match suite.aead.explicit_nonce_len() {
            0 => IV_LEN,
            _ => SALT_LEN,
        };
        let mut bytes = [0; MAX_KEY_BLOCK_LEN];
        let len = 2 * (key_len + iv_len);
        let block = bytes.get_mut(..len).unwrap_or_default();
        let seed = self.randoms.server_first();
        let derived = prf(self.hash, &self.secret, KEY_EXPANSION, seed, block);
        let (keys, ivs) = block.split_at_checked(2 * key_len).unwrap_or_default();
        let (client_key, server_key) = keys.split_at_checked(key_len).unwrap_or_default();
        let (client_iv, server_iv) = ivs.split_at_checked(iv_len).unwrap_or_default();
        let keys = KeyBlock {
            client: TrafficKeys::from_key_block(client_key, client_iv),
            server: TrafficKeys::from_key_block(server_key, server_iv),
        };
        bytes.zeroize();
        derived.map(|()| keys)
    }

    /// verify_data of the Finished that this side sends (RFC 5246 7.4.9); `transcript_hash` covers all before it.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn finished(
        &self,
        sender: Side,
        transcript_hash: &HashValue,
    ) -> Result<[u8; VERIFY_DATA_LEN], Error> {
        let label = match sender {
            Side::Client => CLIENT_FINISHED,
            Side::Server => SERVER_FINISHED,
        };
        let mut verify_data = [0; VERIFY_DATA_LEN];
        let seed = [transcript_hash.as_bytes(), &[]];
        prf(self.hash, &self.secret, label, seed, &mut verify_data)?;
        Ok(verify_data)
    }

    /// Whether the verify_data that this side sent is right, in constant time.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn verify_finished(
        &self,
        sender: Side,
        transcript_hash: &HashValue,
        verify_data: &[u8],
    ) -> Result<bool, Error> {
        let expected = self.finished(sender, transcript_hash)?;
        Ok(constant_time_eq(&expected, verify_data))
    }

    /// Fills `out` with bytes that both ends can compute and nobody else (RFC 5705 4). An absent context is not the
    /// same as an empty one.
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`] for a context over 65,535 bytes, or a label that TLS itself uses.
    pub(crate) fn export(&self, out: &mut [u8], label: &[u8], context: Option<&[u8]>) -> Result<(), Error> {
        // With one of these, what is exported could be a secret of the connection (RFC 5705 4).
        let reserved = [
            MAIN_SECRET,
            EXTENDED_MAIN_SECRET,
            KEY_EXPANSION,
            CLIENT_FINISHED,
            SERVER_FINISHED,
        ];
        if reserved.contains(&label) {
            return Err(Misuse::ExporterRange.into());
        }
        let Some(context) = context else {
            return prf(self.hash, &self.secret, label, self.randoms.client_first(), out);
        };
        let len = u16::try_from(context.len()).map_err(|_| Misuse::ExporterRange)?;
        let mut rest = Vec::with_capacity(32 + 2 + context.len());
        rest.extend_from_slice(&self.randoms.server);
        rest.extend_from_slice(&len.to_be_bytes());
        rest.extend_from_slice(context);
        prf(self.hash, &self.secret, label, [&self.randoms.client, &rest], out)
    }

    /// The bytes, for the key log (as CLIENT_RANDOM).
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.secret
    }
}

impl Drop for MainSecret12 {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for MainSecret12 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MainSecret12(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::hash;
    use crate::crypto::suites::TLS12_SUITES;
    use crate::error::ErrorKind;

    const RANDOMS: Randoms = Randoms {
        client: [1; 32],
        server: [2; 32],
    };
    const HASH: HashAlgorithm = HashAlgorithm::Sha256;

    fn main_secret() -> MainSecret12 {
        MainSecret12::from_randoms(HASH, &[7; 32], RANDOMS).unwrap()
    }

    fn by_hand(secret: &[u8], label: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        prf(HASH, secret, label, [seed, &[]], &mut out).unwrap();
        out
    }

    fn both() -> Vec<u8> {
        [RANDOMS.client, RANDOMS.server].concat()
    }

    #[test]
    fn the_main_secret_is_bound_to_the_randoms_or_to_the_session_hash() {
        let plain = by_hand(&[7; 32], b"master secret", &both(), 48);
        assert_eq!(main_secret().as_bytes(), plain);
        let session_hash = hash(HASH, b"messages");
        let extended = MainSecret12::extended(HASH, &[7; 32], &session_hash, RANDOMS).unwrap();
        let expected = by_hand(&[7; 32], b"extended master secret", session_hash.as_bytes(), 48);
        assert_eq!(extended.as_bytes(), expected);
    }

    #[test]
    fn the_key_block_is_cut_into_keys_and_then_ivs() {
        for suite in TLS12_SUITES.iter().filter(|suite| suite.hash == HASH) {
            let main = main_secret();
            let keys = main.key_block(suite).unwrap();
            let (key_len, iv_len) = (
                suite.key_len(),
                if suite.aead.explicit_nonce_len() > 0 {
                    4
                } else {
                    12
                },
            );
            let seed = [RANDOMS.server, RANDOMS.client].concat();
            let block = by_hand(main.as_bytes(), b"key expansion", &seed, 2 * (key_len + iv_len));
            assert_eq!(keys.client.key(), &block[..key_len]);
            assert_eq!(keys.server.key(), &block[key_len..2 * key_len]);
            let ivs = &block[2 * key_len..];
            for (keys, iv) in [(keys.client, &ivs[..iv_len]), (keys.server, &ivs[iv_len..])] {
                assert_eq!(&keys.iv()[..iv_len], iv);
                assert!(keys.iv()[iv_len..].iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn each_side_has_its_own_finished() {
        let (main, transcript) = (main_secret(), hash(HASH, b"messages"));
        let client = main.finished(Side::Client, &transcript).unwrap();
        let expected = by_hand(main.as_bytes(), b"client finished", transcript.as_bytes(), 12);
        assert_eq!(client[..], expected);
        let verify = |side, data: &[u8]| main.verify_finished(side, &transcript, data).unwrap();
        assert!(verify(Side::Client, &client));
        assert!(!verify(Side::Server, &client));
        assert!(!verify(Side::Client, &client[..11]));
        assert!(!verify(Side::Client, &[]));
    }

    #[test]
    fn an_exporter_without_context_differs_from_one_with_an_empty_context() {
        let main = main_secret();
        let export = |context: Option<&[u8]>| {
            let mut out = [0; 40];
            main.export(&mut out, b"EXPERIMENTAL", context).unwrap();
            out.to_vec()
        };
        let expected = |seed: &[u8]| by_hand(main.as_bytes(), b"EXPERIMENTAL", seed, 40);
        assert_eq!(export(None), expected(&both()));
        assert_eq!(export(Some(b"")), expected(&[&both()[..], &[0, 0]].concat()));
        assert_eq!(
            export(Some(b"abc")),
            expected(&[&both()[..], &[0, 3], b"abc"].concat())
        );
    }

    #[test]
    fn labels_of_tls_and_long_contexts_are_not_exported() {
        let refused = |label: &[u8], context: Option<&[u8]>| {
            let error = main_secret().export(&mut [0; 4], label, context).err();
            error.is_some_and(|error| matches!(error.kind(), ErrorKind::Misuse(Misuse::ExporterRange)))
        };
        assert!(refused(b"key expansion", None));
        assert!(refused(b"client finished", Some(b"")));
        assert!(refused(b"mine", Some(&[0; 65_536])));
        assert!(!refused(b"mine", Some(&[0; 65_535])));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", main_secret()), "MainSecret12(..)");
    }
}
