//! JA3 and JA4: what is characteristic of a client in its ClientHello, in short.
//!
//! JA3 keeps the order of the extensions, which browsers of today shuffle; JA4 sorts them. Neither authenticates
//! anybody: a client can look like any other.

use core::fmt::Write as _;

use crate::crypto::hash::{HashAlgorithm, hash};
use crate::messages::client_hello::ClientHello;
use crate::registry::{ExtensionType, ProtocolVersion, is_grease};

/// Hexadecimal digits that JA4 keeps of a SHA-256.
const SHORT_HASH: usize = 12;

impl ClientHello {
    /// The JA3 fingerprint: the MD5 of [`Self::ja3_string`], in hexadecimal digits.
    #[cfg(feature = "ja3")]
    #[must_use]
    pub fn ja3(&self) -> String {
        use md5::Digest as _;
        hex(&md5::Md5::digest(self.ja3_string()))
    }

    /// What JA3 is the MD5 of: version, cipher suites, extensions, groups and point formats in wire order and decimal
    /// digits, without GREASE. The version is the legacy one, 771 in all clients of today.
    #[must_use]
    pub fn ja3_string(&self) -> String {
        let mut text = self.legacy_version().0.to_string();
        push_decimal(&mut text, self.cipher_suites().iter().map(|suite| suite.0));
        push_decimal(
            &mut text,
            self.extension_types().iter().map(|extension| extension.0),
        );
        push_decimal(&mut text, self.supported_groups().iter().map(|group| group.0));
        push_decimal(
            &mut text,
            self.ec_point_formats().iter().map(|format| u16::from(*format)),
        );
        text
    }

    /// The JA4 fingerprint, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    #[must_use]
    pub fn ja4(&self) -> String {
        let (suites, extensions) = self.ja4_lists(Order::Sorted);
        self.ja4_from(&short_hash(&suites), &short_hash(&extensions))
    }

    /// JA4 with the lists themselves in place of their hashes.
    #[must_use]
    pub fn ja4_r(&self) -> String {
        let (suites, extensions) = self.ja4_lists(Order::Sorted);
        self.ja4_from(&suites, &extensions)
    }

    /// JA4 over the lists in wire order, with server name and ALPN among the extensions.
    #[must_use]
    pub fn ja4_o(&self) -> String {
        let (suites, extensions) = self.ja4_lists(Order::Wire);
        self.ja4_from(&short_hash(&suites), &short_hash(&extensions))
    }

    /// [`Self::ja4_o`] with the lists themselves in place of their hashes.
    #[must_use]
    pub fn ja4_ro(&self) -> String {
        let (suites, extensions) = self.ja4_lists(Order::Wire);
        self.ja4_from(&suites, &extensions)
    }

    fn ja4_from(&self, suites: &str, extensions: &str) -> String {
        let version = match self.ja4_version() {
            ProtocolVersion::TLS13 => "13",
            ProtocolVersion::TLS12 => "12",
            ProtocolVersion::TLS11 => "11",
            ProtocolVersion::TLS10 => "10",
            ProtocolVersion::SSL3 => "s3",
            ProtocolVersion(0x0002) => "s2",
            _ => "00",
        };
        let name = match self.extension_types().contains(&ExtensionType::SERVER_NAME) {
            true => 'd',
            false => 'i',
        };
        let suite_count = count(self.cipher_suites().iter().map(|suite| suite.0));
        let extension_count = count(self.extension_types().iter().map(|extension| extension.0));
        let alpn = self.ja4_alpn();
        format!("t{version}{name}{suite_count:02}{extension_count:02}{alpn}_{suites}_{extensions}")
    }

    /// The best version that the client offers.
    fn ja4_version(&self) -> ProtocolVersion {
        let offered = self.supported_versions().iter().copied();
        let best = offered.filter(|version| !is_grease(version.0)).max();
        best.unwrap_or(self.legacy_version)
    }

    /// First and last character of the first protocol; of its hexadecimal form where they are not both alphanumeric.
    fn ja4_alpn(&self) -> String {
        let Some((first, last)) = self
            .alpn()
            .next()
            .and_then(|name| Some((*name.first()?, *name.last()?)))
        else {
            return "00".to_owned();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [char::from(first), char::from(last)].iter().collect();
        }
        format!("{:x}{:x}", first >> 4, last & 0x0f)
    }

    /// The cipher suites; the extensions, and behind them the signature algorithms in wire order.
    fn ja4_lists(&self, order: Order) -> (String, String) {
        let mut suites: Vec<u16> = self.cipher_suites().iter().map(|suite| suite.0).collect();
        let mut extensions: Vec<u16> = self
            .extension_types()
            .iter()
            .map(|extension| extension.0)
            .collect();
        if order == Order::Sorted {
            suites.sort_unstable();
            extensions.sort_unstable();
            extensions.retain(|code| ![ExtensionType::SERVER_NAME.0, ExtensionType::ALPN.0].contains(code));
        }
        let suites = hex_list(suites);
        let mut extensions = hex_list(extensions);
        let signatures = hex_list(self.signature_algorithms().iter().map(|scheme| scheme.0));
        if !extensions.is_empty() && !signatures.is_empty() {
            extensions = format!("{extensions}_{signatures}");
        }
        (suites, extensions)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Sorted,
    Wire,
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Appends a comma, and the codes but for GREASE in decimal digits with dashes between them.
fn push_decimal(text: &mut String, codes: impl Iterator<Item = u16>) {
    let mut separator = ',';
    let empty = text.len();
    for code in codes.filter(|code| !is_grease(*code)) {
        let _ = write!(text, "{separator}{code}");
        separator = '-';
    }
    if text.len() == empty {
        text.push(',');
    }
}

/// The codes but for GREASE in four hexadecimal digits each, with commas between them.
fn hex_list(codes: impl IntoIterator<Item = u16>) -> String {
    let mut text = String::new();
    for code in codes.into_iter().filter(|code| !is_grease(*code)) {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{code:04x}");
    }
    text
}

/// How many there are without GREASE, in two digits.
fn count(codes: impl Iterator<Item = u16>) -> usize {
    codes.filter(|code| !is_grease(*code)).count().min(99)
}

/// The beginning of the SHA-256 in hexadecimal digits; zeros for an empty list.
fn short_hash(list: &str) -> String {
    if list.is_empty() {
        return "0".repeat(SHORT_HASH);
    }
    let mut digest = hex(hash(HashAlgorithm::Sha256, list.as_bytes()).as_bytes());
    digest.truncate(SHORT_HASH);
    digest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::messages::encode_with;
    use crate::registry::HandshakeType;
    use crate::wire::{Prefixed8, Prefixed16, Put};

    /// A hello by its lists, in wire order.
    #[derive(Clone, Default)]
    pub(in crate::hello_data) struct Lists {
        pub(in crate::hello_data) legacy_version: u16,
        pub(in crate::hello_data) versions: Vec<u16>,
        pub(in crate::hello_data) suites: Vec<u16>,
        pub(in crate::hello_data) extensions: Vec<u16>,
        pub(in crate::hello_data) groups: Vec<u16>,
        pub(in crate::hello_data) formats: Vec<u8>,
        pub(in crate::hello_data) signatures: Vec<u16>,
        pub(in crate::hello_data) alpn: Vec<u8>,
    }

    impl Lists {
        pub(in crate::hello_data) fn hello(&self) -> ClientHello {
            let mut message = Vec::new();
            encode_with(HandshakeType::CLIENT_HELLO, &mut message, |body| {
                body.put_u16(self.legacy_version);
                body.put(&[7; 32]);
                body.put_u8(0);
                put16(body, &self.suites);
                body.put(&[1, 0]);
                if !self.extensions.is_empty() {
                    let mut block = Prefixed16::new(body);
                    for extension in &self.extensions {
                        block.put_u16(*extension);
                        self.put_content(*extension, &mut Prefixed16::new(&mut block));
                    }
                }
            });
            ClientHello::parse(&message).unwrap()
        }

        /// Something well-formed, and the lists where they belong.
        fn put_content(&self, extension: u16, out: &mut Vec<u8>) {
            match extension {
                0 => out.put(b"\0\x09\0\0\x06server"),
                5 => out.put(&[1, 0, 0, 0, 0]),
                10 => put16(out, &self.groups),
                11 => Prefixed8::new(out).put(&self.formats),
                13 => put16(out, &self.signatures),
                16 => Prefixed8::new(&mut Prefixed16::new(out)).put(&self.alpn),
                27 => out.put(&[2, 0, 2]),
                43 => {
                    let mut list = Prefixed8::new(out);
                    self.versions.iter().for_each(|version| list.put_u16(*version));
                }
                45 => out.put(&[1, 1]),
                51 => out.put(&[0, 0]),
                0xff01 => out.put(&[0]),
                _ => {}
            }
        }

        /// The same as a client sends it that uses GREASE (RFC 8701).
        pub(in crate::hello_data) fn greased(&self) -> Self {
            let mut greased = self.clone();
            greased.suites.insert(0, 0x0a0a);
            if !self.extensions.is_empty() {
                greased.extensions.insert(0, 0xfafa);
                greased.extensions.push(0x1a1a);
            }
            greased.groups.insert(0, 0xbaba);
            greased.signatures.insert(1.min(self.signatures.len()), 0x2a2a);
            greased.versions.insert(0, 0xeaea);
            greased
        }
    }

    fn put16(out: &mut Vec<u8>, codes: &[u16]) {
        let mut list = Prefixed16::new(out);
        codes.iter().for_each(|code| list.put_u16(*code));
    }

    fn codes(text: &str) -> Vec<u16> {
        let parse = |code| u16::from_str_radix(code, 16).unwrap();
        text.split(',').map(parse).collect()
    }

    #[test]
    fn the_fingerprints_are_those_that_others_published() {
        let text = include_str!("../../../../testdata/fingerprints.txt");
        let mut checked = 0;
        for paragraph in text
            .split("\n\n")
            .filter(|paragraph| paragraph.starts_with("hello "))
        {
            let mut lists = Lists::default();
            let mut expected = Vec::new();
            for (key, value) in paragraph.lines().map(|line| line.split_once(' ').unwrap()) {
                match key {
                    "hello" => {}
                    "legacy_version" => lists.legacy_version = codes(value)[0],
                    "versions" => lists.versions = codes(value),
                    "suites" => lists.suites = codes(value),
                    "extensions" => lists.extensions = codes(value),
                    "groups" => lists.groups = codes(value),
                    "formats" => lists.formats = codes(value).iter().map(|code| *code as u8).collect(),
                    "signatures" => lists.signatures = codes(value),
                    "alpn" => lists.alpn = value.as_bytes().to_vec(),
                    _ => expected.push((key, value)),
                }
            }
            for hello in [lists.hello(), lists.greased().hello()] {
                for (key, value) in &expected {
                    let ours = match *key {
                        #[cfg(feature = "ja3")]
                        "ja3" => hello.ja3(),
                        #[cfg(not(feature = "ja3"))]
                        "ja3" => (*value).to_owned(),
                        "ja3_string" => hello.ja3_string(),
                        "ja4" => hello.ja4(),
                        "ja4_o" => hello.ja4_o(),
                        "ja4_r" => hello.ja4_r(),
                        "ja4_ro" => hello.ja4_ro(),
                        other => panic!("{other}?"),
                    };
                    assert_eq!(ours, *value, "{key} of {paragraph}");
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 2 * 18);
    }

    fn plain() -> Lists {
        Lists {
            legacy_version: 0x0303,
            suites: vec![0x1301],
            extensions: vec![16],
            alpn: b"h2".to_vec(),
            ..Lists::default()
        }
    }

    #[test]
    fn the_protocol_is_shown_by_its_ends() {
        for (name, shown) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            // Not alphanumeric at one end or both: the hexadecimal form's.
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"0\xab", "3b"),
            (b"01\xab\xcd", "3d"),
            (b"a-", "6d"),
        ] {
            let lists = Lists {
                alpn: name.to_vec(),
                ..plain()
            };
            assert_eq!(&lists.hello().ja4()[8..10], shown, "{name:?}");
        }
        let lists = Lists {
            extensions: vec![],
            ..plain()
        };
        assert_eq!(&lists.hello().ja4()[8..10], "00");
    }

    #[test]
    fn the_version_is_the_best_that_is_offered() {
        for (legacy_version, versions, shown) in [
            (0x0303, &[0x0303, 0x0304][..], "13"),
            (0x0303, &[0x0303], "12"),
            (0x0303, &[0x0a0a, 0x0302], "11"),
            (0x0303, &[0x7f1c], "00"),
            (0x0301, &[], "10"),
            (0x0300, &[], "s3"),
            (0x0002, &[], "s2"),
        ] {
            let lists = Lists {
                legacy_version,
                versions: versions.to_vec(),
                extensions: if versions.is_empty() { vec![] } else { vec![43] },
                ..plain()
            };
            assert_eq!(
                &lists.hello().ja4()[1..3],
                shown,
                "{legacy_version:x} {versions:x?}"
            );
        }
    }

    #[test]
    fn an_empty_list_has_zeros_for_a_hash() {
        // Only what the sorted form leaves out.
        let ja4 = plain().hello().ja4();
        assert!(
            ja4.starts_with("t12i0101h2_") && ja4.ends_with("_000000000000"),
            "{ja4}"
        );
        let lists = Lists {
            suites: vec![0x3a3a],
            extensions: vec![0x3a3a],
            ..plain()
        };
        assert_eq!(lists.hello().ja4(), "t12i000000_000000000000_000000000000");
        assert_eq!(lists.hello().ja4_ro(), "t12i000000__");
    }

    #[test]
    fn counts_stop_at_99() {
        let lists = Lists {
            suites: (1..=200).collect(),
            ..plain()
        };
        assert!(lists.hello().ja4().starts_with("t12i9901h2_"));
    }

    /// Every change of a byte: whatever parses has fingerprints and no panic.
    #[test]
    fn no_bytes_make_a_fingerprint_panic() {
        let lists = Lists {
            versions: vec![0x0304],
            extensions: vec![0, 5, 10, 11, 13, 16, 43, 45, 51, 0xff01, 0x1234],
            groups: vec![29, 23],
            formats: vec![0, 1],
            signatures: vec![0x0403],
            ..plain()
        };
        let good = lists.hello().raw().to_vec();
        let mut parsed = 0;
        for at in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = value;
                let Ok(hello) = ClientHello::parse(&bytes) else {
                    continue;
                };
                parsed += 1;
                let longest = hello.ja3_string().len() + hello.ja4_r().len() + hello.ja4_o().len();
                assert!(longest > 0 && hello.extensions().count() == hello.extension_types().len());
            }
        }
        // The random alone has 32 bytes that may be anything.
        assert!(parsed > 32 * 256, "{parsed}");
    }
}
