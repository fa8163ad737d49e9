//! A ClientHello as a map, for JSON above all: names of the RFC, lists in wire order, code points with their names and
//! numbers, and bytes in hexadecimal digits.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::fingerprint::hex;
use crate::error::legacy_suite_name;
use crate::messages::client_hello::ClientHello;
use crate::registry::{
    CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, PskKeyExchangeMode, SignatureScheme, is_grease,
};

/// A map of everything that the client said, and its fingerprints. What was not sent is null or an empty list. The raw
/// bytes are not among it, see [`ClientHello::raw`].
///
/// A code point is `{"name": "TLS_AES_128_GCM_SHA256", "code": "0x1301"}`; its name is `"GREASE"` for those of RFC 8701,
/// and null for what has no name here.
impl Serialize for ClientHello {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("server_name", &self.server_name())?;
        map.serialize_entry("alpn", &self.alpn().map(text).collect::<Vec<_>>())?;
        map.serialize_entry("legacy_version", &self.legacy_version())?;
        map.serialize_entry("supported_versions", self.supported_versions())?;
        map.serialize_entry("random", &hex(self.random()))?;
        map.serialize_entry("session_id", &hex(self.session_id()))?;
        map.serialize_entry("cipher_suites", self.cipher_suites())?;
        map.serialize_entry("compression_methods", self.compression_methods())?;
        map.serialize_entry("supported_groups", self.supported_groups())?;
        map.serialize_entry("key_shares", &self.key_shares().map(KeyShare).collect::<Vec<_>>())?;
        map.serialize_entry("signature_algorithms", self.signature_algorithms())?;
        let own = self
            .extension(ExtensionType::SIGNATURE_ALGORITHMS_CERT)
            .map(|_| self.signature_algorithms_cert());
        map.serialize_entry("signature_algorithms_cert", &own)?;
        map.serialize_entry(
            "psk_key_exchange_modes",
            &self.psk_key_exchange_modes().collect::<Vec<_>>(),
        )?;
        map.serialize_entry(
            "psk_identities",
            &self.psk_identities().map(hex).collect::<Vec<_>>(),
        )?;
        map.serialize_entry("early_data", &self.offers_early_data())?;
        map.serialize_entry("ec_point_formats", self.ec_point_formats())?;
        map.serialize_entry(
            "certificate_compression_algorithms",
            self.certificate_compression_algorithms(),
        )?;
        map.serialize_entry("record_size_limit", &self.record_size_limit())?;
        map.serialize_entry(
            "extensions",
            &self.extensions().map(Extension).collect::<Vec<_>>(),
        )?;
        map.serialize_entry("ja3", &self.ja3())?;
        map.serialize_entry("ja3_string", &self.ja3_string())?;
        map.serialize_entry("ja4", &self.ja4())?;
        map.serialize_entry("ja4_r", &self.ja4_r())?;
        map.serialize_entry("ja4_o", &self.ja4_o())?;
        map.serialize_entry("ja4_ro", &self.ja4_ro())?;
        map.end()
    }
}

/// A protocol name is bytes; nearly all are ASCII.
fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

struct KeyShare<'a>((NamedGroup, &'a [u8]));

impl Serialize for KeyShare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (group, key) = self.0;
        let mut map = serializer.serialize_map(Some(3))?;
        put_code(&mut map, group.name(), group.0)?;
        map.serialize_entry("length", &key.len())?;
        map.end()
    }
}

struct Extension<'a>((ExtensionType, &'a [u8]));

impl Serialize for Extension<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (extension, content) = self.0;
        let mut map = serializer.serialize_map(Some(4))?;
        put_code(&mut map, extension.name(), extension.0)?;
        map.serialize_entry("length", &content.len())?;
        map.serialize_entry("data", &hex(content))?;
        map.end()
    }
}

/// The entries of a code point of 16 bits.
fn put_code<M: SerializeMap>(map: &mut M, name: Option<&str>, code: u16) -> Result<(), M::Error> {
    let name = if is_grease(code) { Some("GREASE") } else { name };
    map.serialize_entry("name", &name)?;
    map.serialize_entry("code", &format!("0x{code:04x}"))
}

fn code<S: Serializer>(serializer: S, name: Option<&str>, code: u16) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    put_code(&mut map, name, code)?;
    map.end()
}

/// As `{"name": "TLS_AES_128_GCM_SHA256", "code": "0x1301"}`. Common suites that this library does not support have
/// names here too.
impl Serialize for CipherSuite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        code(
            serializer,
            self.name().or_else(|| legacy_suite_name(*self)),
            self.0,
        )
    }
}

macro_rules! serialize_code_points {
    ($($name:ident, $example:literal;)*) => {$(
        #[doc = concat!("As `", $example, "`.")]
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                code(serializer, self.name(), self.0)
            }
        }
    )*};
}

serialize_code_points! {
    ExtensionType, r#"{"name": "key_share", "code": "0x0033"}"#;
    NamedGroup, r#"{"name": "x25519", "code": "0x001d"}"#;
    ProtocolVersion, r#"{"name": "TLSv1.3", "code": "0x0304"}"#;
    SignatureScheme, r#"{"name": "ed25519", "code": "0x0807"}"#;
}

/// As `{"name": "psk_dhe_ke", "code": "0x01"}`.
impl Serialize for PskKeyExchangeMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", &self.name())?;
        map.serialize_entry("code", &format!("0x{:02x}", self.0))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fingerprint::tests::Lists;

    #[test]
    fn everything_is_there_with_names_and_numbers() {
        let hello = Lists {
            legacy_version: 0x0303,
            versions: vec![0x0304, 0x0303],
            suites: vec![0x1301, 0xc02b, 0x002f, 0xeeee],
            extensions: vec![0, 10, 11, 13, 16, 43, 45, 51, 0x1234],
            groups: vec![29],
            formats: vec![0],
            signatures: vec![0x0807],
            alpn: b"h2".to_vec(),
        }
        .greased()
        .hello();
        let value = serde_json::to_value(&hello).unwrap();
        assert_eq!(value["server_name"], "server");
        assert_eq!(value["alpn"], json!(["h2"]));
        assert_eq!(
            value["legacy_version"],
            json!({"name": "TLSv1.2", "code": "0x0303"})
        );
        assert_eq!(
            value["supported_versions"][0],
            json!({"name": "GREASE", "code": "0xeaea"})
        );
        assert_eq!(value["random"], "07".repeat(32));
        assert_eq!(value["session_id"], "");
        assert_eq!(
            value["cipher_suites"],
            json!([
                {"name": "GREASE", "code": "0x0a0a"},
                {"name": "TLS_AES_128_GCM_SHA256", "code": "0x1301"},
                {"name": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "code": "0xc02b"},
                {"name": "TLS_RSA_WITH_AES_128_CBC_SHA", "code": "0x002f"},
                {"name": null, "code": "0xeeee"},
            ])
        );
        assert_eq!(value["compression_methods"], json!([0]));
        assert_eq!(
            value["supported_groups"][1],
            json!({"name": "x25519", "code": "0x001d"})
        );
        assert_eq!(value["key_shares"], json!([]));
        assert_eq!(
            value["signature_algorithms"][0],
            json!({"name": "ed25519", "code": "0x0807"})
        );
        assert_eq!(value["signature_algorithms_cert"], json!(null));
        assert_eq!(
            value["psk_key_exchange_modes"],
            json!([{"name": "psk_dhe_ke", "code": "0x01"}])
        );
        assert_eq!(value["early_data"], false);
        assert_eq!(value["ec_point_formats"], json!([0]));
        assert_eq!(value["record_size_limit"], json!(null));
        let extensions = value["extensions"].as_array().unwrap();
        assert_eq!(extensions.len(), 11);
        assert_eq!(
            extensions[7],
            json!({"name": "psk_key_exchange_modes", "code": "0x002d", "length": 2, "data": "0101"})
        );
        assert_eq!(extensions[9]["name"], json!(null));
        assert_eq!(value["ja3"], hello.ja3());
        assert_eq!(value["ja4"], hello.ja4());
    }
}
