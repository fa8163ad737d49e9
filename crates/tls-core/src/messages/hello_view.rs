//! The rest of a ClientHello that was received: what the handshake has no use for is read from its bytes when somebody
//! asks.

use crate::error::{Error, Misbehaviour};
use crate::registry::{ExtensionType, HandshakeType, NamedGroup, PskKeyExchangeMode};
use crate::wire::{BadBytes, Reader};

use super::client_hello::ClientHello;
use super::{HEADER_LEN, Message, decode_message, name_of};

impl ClientHello {
    /// Reads a ClientHello from the bytes of a handshake message, with its header of four bytes (section 4): from a
    /// recording, say. A server has no need of it.
    ///
    /// # Errors
    /// It is another message, its length is not that of the bytes, or its content does not parse.
    pub fn parse(message: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(const { name_of(HandshakeType::CLIENT_HELLO) }, message);
        let got = HandshakeType(reader.u8("msg_type")?);
        if got != Self::TYPE {
            return Err(Misbehaviour::UnexpectedMessage {
                expected: Self::TYPE,
                got,
            }
            .into());
        }
        let body = reader.vec24("length")?.rest();
        reader.end("length")?;
        let mut hello: Self = decode_message(body)?;
        hello.raw = message.to_vec();
        Ok(hello)
    }

    /// The whole handshake message as it was received, with its header of four bytes (section 4) and without those of
    /// the records that it came in. Kept on a server until the handshake ends. After a HelloRetryRequest there are two
    /// messages: certificate resolvers see the second, selectors of a configuration and failures have the first.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// legacy_session_id: 32 random bytes in clients of TLS 1.3 that look like TLS 1.2 (section D.4), the session to
    /// resume in TLS 1.2, or empty.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// The compression methods; 0 is none (null), and the only one of today.
    #[must_use]
    pub fn compression_methods(&self) -> &[u8] {
        self.tail().map_or(&[], |(methods, _)| methods)
    }

    /// Type and content of every extension in wire order, unknown and GREASE ones included.
    pub fn extensions(&self) -> impl Iterator<Item = (ExtensionType, &[u8])> {
        let mut block = self.tail().ok().and_then(|(_, block)| block);
        core::iter::from_fn(move || {
            let block = block.as_mut().filter(|block| !block.is_empty())?;
            let extension = ExtensionType(block.u16("extension_type").ok()?);
            Some((extension, block.vec16("extension_data").ok()?.rest()))
        })
    }

    /// The content of an extension, if it is there.
    #[must_use]
    pub fn extension(&self, wanted: ExtensionType) -> Option<&[u8]> {
        self.extensions()
            .find(|(extension, _)| *extension == wanted)
            .map(|(_, content)| content)
    }

    /// Group and public key of every key share, most preferred first (section 4.2.8), GREASE ones included.
    pub fn key_shares(&self) -> impl Iterator<Item = (NamedGroup, &[u8])> {
        let shares = self.extensions.key_shares.as_deref().unwrap_or_default();
        shares
            .iter()
            .map(|share| (share.group, share.key_exchange.as_slice()))
    }

    /// How the client would use a PSK (section 4.2.9).
    pub fn psk_key_exchange_modes(&self) -> impl Iterator<Item = PskKeyExchangeMode> {
        self.short_list(ExtensionType::PSK_KEY_EXCHANGE_MODES)
            .iter()
            .map(|mode| PskKeyExchangeMode(*mode))
    }

    /// The tickets, or names of other PSKs, that the client would resume (section 4.2.11).
    pub fn psk_identities(&self) -> impl Iterator<Item = &[u8]> {
        let psks = self.extensions.pre_shared_key.as_ref();
        psks.into_iter()
            .flat_map(|psks| &psks.identities)
            .map(|identity| identity.identity.as_slice())
    }

    /// Whether early data follows (section 4.2.10).
    #[must_use]
    pub fn offers_early_data(&self) -> bool {
        self.extensions.early_data
    }

    /// The point formats of ec_point_formats (RFC 8422 section 5.1.2): 0 is uncompressed.
    #[must_use]
    pub fn ec_point_formats(&self) -> &[u8] {
        self.short_list(ExtensionType::EC_POINT_FORMATS)
    }

    /// The algorithms by which certificates may be compressed (RFC 8879 section 3).
    #[must_use]
    pub fn certificate_compression_algorithms(&self) -> &[u16] {
        self.extensions
            .compress_certificate
            .as_deref()
            .unwrap_or_default()
    }

    /// The largest plaintext record that the client accepts, in bytes (RFC 8449).
    #[must_use]
    pub fn record_size_limit(&self) -> Option<u16> {
        self.extensions.record_size_limit
    }

    /// The content of an extension that is a list of bytes with a length of one byte.
    fn short_list(&self, extension: ExtensionType) -> &[u8] {
        self.extension(extension)
            .and_then(|content| content.get(1..))
            .unwrap_or_default()
    }

    /// The compression methods, and a reader over the extensions if there is a block of them. It was read before: it
    /// can only fail where there are no bytes.
    fn tail(&self) -> Result<(&[u8], Option<Reader<'_>>), BadBytes> {
        let body = self.raw.get(HEADER_LEN..).unwrap_or_default();
        let mut body = Reader::new(const { name_of(HandshakeType::CLIENT_HELLO) }, body);
        body.take("legacy_version and random", 34)?;
        body.vec8("legacy_session_id")?;
        body.vec16("cipher_suites")?;
        let methods = body.vec8("legacy_compression_methods")?.rest();
        let block = match body.is_empty() {
            true => None,
            false => Some(body.vec16("extensions")?),
        };
        Ok((methods, block))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;
    use crate::error::ErrorKind;
    use crate::messages::encode_message;
    use crate::wire::{Prefixed16, Prefixed24, Put};

    /// With GREASE, an unknown extension, and lists that nobody negotiates.
    fn sample() -> Vec<u8> {
        let mut message = vec![1];
        let mut body = Prefixed24::new(&mut message);
        body.put(&hex("0303"));
        body.put(&[7; 32]);
        body.put(&hex("04 01020304 0006 0a0a 1301 c02b 02 01 00"));
        Prefixed16::new(&mut body).put(&hex("1a1a 0000
            0000 000b 0009 00 0006 736572766572
            002d 0004 03 0b 00 01
            000b 0004 03 00 01 02
            1234 0003 aabbcc
            000a 0006 0004 2a2a 001d
            0033 002b 0029 2a2a 0001 00 001d 0020
                0909090909090909090909090909090909090909090909090909090909090909
            001b 0003 02 0002
            001c 0002 4001
            ff01 0001 00
            3a3a 0001 00"));
        drop(body);
        message
    }

    #[test]
    fn every_field_is_there_in_wire_order() {
        let message = sample();
        let hello = ClientHello::parse(&message).unwrap();
        assert_eq!(hello.raw(), message);
        assert_eq!(hello.session_id(), [1, 2, 3, 4]);
        assert_eq!(hello.cipher_suites().len(), 3);
        assert_eq!(hello.compression_methods(), [1, 0]);
        assert_eq!(hello.ec_point_formats(), [0, 1, 2]);
        let modes: Vec<_> = hello.psk_key_exchange_modes().collect();
        assert_eq!(modes, [11, 0, 1].map(PskKeyExchangeMode));
        let shares: Vec<_> = hello
            .key_shares()
            .map(|(group, key)| (group.0, key.len()))
            .collect();
        assert_eq!(shares, [(0x2a2a, 1), (29, 32)]);
        assert_eq!(hello.certificate_compression_algorithms(), [2]);
        assert_eq!(hello.record_size_limit(), Some(0x4001));
        assert_eq!(hello.psk_identities().count(), 0);
        assert!(!hello.offers_early_data());

        let extensions: Vec<_> = hello.extensions().collect();
        let types: Vec<_> = extensions.iter().map(|(extension, _)| *extension).collect();
        assert_eq!(types, hello.extension_types());
        assert_eq!(extensions[0], (ExtensionType(0x1a1a), &[][..]));
        assert_eq!(
            hello.extension(ExtensionType(0x1234)),
            Some(&[0xaa, 0xbb, 0xcc][..])
        );
        assert_eq!(hello.extension(ExtensionType(0x4321)), None);
    }

    #[test]
    fn a_hello_of_ours_has_no_bytes() {
        let mut hello = ClientHello::parse(&sample()).unwrap();
        hello.raw.clear();
        assert_eq!(hello.extensions().count(), 0);
        assert!(hello.compression_methods().is_empty());
    }

    #[test]
    fn what_is_no_client_hello_is_refused() {
        let message = sample();
        for length in 0..message.len() {
            let error = ClientHello::parse(&message[..length]).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::BadBytes(_)),
                "{length}: {error}"
            );
        }
        let longer = [&message[..], &[0]].concat();
        assert!(matches!(
            ClientHello::parse(&longer).unwrap_err().kind(),
            ErrorKind::BadBytes(_)
        ));
        let mut other = message;
        other[0] = 2;
        assert!(matches!(
            ClientHello::parse(&other).unwrap_err().kind(),
            ErrorKind::Misbehaved(_)
        ));
    }

    #[test]
    fn what_is_read_is_what_the_handshake_writes() {
        let hello = ClientHello::parse(&sample()).unwrap();
        let mut written = Vec::new();
        encode_message(&hello, &mut written);
        let again = ClientHello::parse(&written).unwrap();
        // What we do not know of is not written.
        assert_eq!(again.extension(ExtensionType(0x1234)), None);
        assert_eq!(again.raw(), written);
        assert_eq!(again.supported_groups(), hello.supported_groups());
    }
}
