//! The runner's command line: one set of options for each connection that one start of the shim makes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use tls_core::{NamedGroup, ProtocolVersion, SignatureScheme};

/// `SSL_SIGN_RSA_PKCS1_MD5_SHA1`
const MD5_SHA1: u16 = 0xff01;

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) port: u16,
    pub(crate) shim_id: u64,
    pub(crate) ipv6: bool,
    pub(crate) server: bool,
    /// Connections after the first.
    pub(crate) resume_count: usize,
    pub(crate) initial: Options,
    pub(crate) resume: Options,
    /// After the server rejected early data.
    pub(crate) retry: Options,
}

/// How one connection is configured and what is expected of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) min_version: Option<ProtocolVersion>,
    pub(crate) max_version: Option<ProtocolVersion>,
    pub(crate) without_version: Vec<ProtocolVersion>,
    pub(crate) groups: Vec<NamedGroup>,
    pub(crate) key_shares: Option<Vec<NamedGroup>>,
    pub(crate) verify_schemes: Vec<SignatureScheme>,
    pub(crate) credentials: Vec<Credential>,
    /// A flag opened further credentials, of which the last is described now.
    pub(crate) has_further_credentials: bool,
    pub(crate) host_name: Option<String>,
    pub(crate) asynchronous: bool,
    pub(crate) require_client_certificate: bool,
    pub(crate) verify_peer: bool,
    pub(crate) verify_fails: bool,
    pub(crate) reverify_on_resume: bool,
    /// BoringSSL has two kinds of verifiers, which differ in their alert and in whether a refusal is final.
    pub(crate) custom_verifier: bool,
    /// A client judges OCSP responses.
    pub(crate) judge_ocsp: bool,
    pub(crate) client_authorities: Option<Vec<Vec<u8>>>,
    pub(crate) no_ticket: bool,
    pub(crate) max_fragment: Option<u16>,
    pub(crate) max_certificate_message: Option<u32>,
    pub(crate) ignore_server_name: bool,
    pub(crate) enable_early_data: bool,
    pub(crate) no_legacy_server_connect: bool,

    pub(crate) advertise_alpn: Vec<Vec<u8>>,
    pub(crate) select_alpn: Option<Vec<u8>>,
    pub(crate) select_empty_alpn: bool,
    pub(crate) reject_alpn: bool,

    pub(crate) check_close_notify: bool,
    pub(crate) shim_shuts_down: bool,
    pub(crate) shim_writes_first: bool,
    pub(crate) initial_write: Option<Vec<u8>>,
    pub(crate) repeat_initial_write: Option<usize>,
    pub(crate) unfinished_write: bool,
    pub(crate) read_size: Option<usize>,
    /// Seconds that pass before each connection after the first, by the clock of the library.
    pub(crate) resumption_delay: u64,
    pub(crate) key_update: bool,
    pub(crate) key_update_before_read: bool,
    pub(crate) send_alert: bool,
    pub(crate) export: Export,
    pub(crate) early_export: Export,
    pub(crate) export_traffic_secrets: bool,
    pub(crate) enable_ocsp_stapling: bool,
    pub(crate) fail_ocsp: bool,
    pub(crate) fail_certificate: bool,
    pub(crate) fail_early_callback: bool,

    pub(crate) expect: Expect,
}

/// Keying material to be sent as the first data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Export {
    pub(crate) length: usize,
    pub(crate) label: Vec<u8>,
    pub(crate) context: Vec<u8>,
    pub(crate) use_context: bool,
}

/// What must hold of the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    pub(crate) peer_scheme: Option<SignatureScheme>,
    pub(crate) peer_verify_schemes: Vec<SignatureScheme>,
    pub(crate) group: Option<NamedGroup>,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) cipher_aes: Option<u16>,
    pub(crate) cipher: Option<u16>,
    pub(crate) retry_request: Option<bool>,
    pub(crate) session_miss: bool,
    pub(crate) no_session: bool,
    pub(crate) session_id: Option<bool>,
    pub(crate) ticket_renewal: bool,
    pub(crate) extended_main_secret: bool,
    pub(crate) secure_renegotiation: bool,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) advertised_alpn: Option<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    pub(crate) client_authorities: Option<Vec<Vec<u8>>>,
    pub(crate) certificate_types: Option<Vec<u8>>,
    pub(crate) peer_certificates: Option<PathBuf>,
    pub(crate) no_peer_certificate: bool,
    pub(crate) verify_result: bool,
    pub(crate) early_data_reason: Option<String>,
    pub(crate) ticket_supports_early_data: bool,
    pub(crate) early_data_accepted: bool,
    pub(crate) early_data_rejected: bool,
    pub(crate) no_early_data_offer: bool,
    pub(crate) ocsp_response: Option<Vec<u8>>,
    pub(crate) scts: Option<Vec<u8>>,
    pub(crate) credential: Option<i64>,
}

/// A chain and key with what belongs to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credential {
    pub(crate) certificates: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) schemes: Vec<SignatureScheme>,
    pub(crate) ocsp_response: Option<Vec<u8>>,
    pub(crate) scts: Option<Vec<u8>>,
    pub(crate) must_match_issuer: bool,
    /// Whether it was opened by a flag of its own, in the order of which it is known to the runner.
    pub(crate) is_further: bool,
}

/// Why a command line is not followed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A flag that is not known, or a value that cannot be served.
    Unimplemented(String),
    /// A flag without its value.
    Malformed(String),
}

impl Flags {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().map(OsString::into_vec);
        while let Some(argument) = arguments.next() {
            let name = String::from_utf8(argument).map_err(|_| Refused::Malformed("no text".into()))?;
            let mut value = || {
                let missing = || Refused::Malformed(format!("{name} without a value"));
                arguments.next().map(Value).ok_or_else(missing)
            };
            match name.as_str() {
                "-port" => flags.port = value()?.number()?,
                "-shim-id" => flags.shim_id = value()?.number()?,
                "-resume-count" => flags.resume_count = value()?.number()?,
                "-ipv6" => flags.ipv6 = true,
                "-server" => flags.server = true,
                _ => {
                    let (option, [initial, resume, retry]) = scope(&name);
                    let value = match takes_value(option) {
                        true => value()?,
                        false => Value(Vec::new()),
                    };
                    for (applies, options) in [
                        (initial, &mut flags.initial),
                        (resume, &mut flags.resume),
                        (retry, &mut flags.retry),
                    ] {
                        if applies {
                            options.set(option, &value)?;
                        }
                    }
                }
            }
        }
        Ok(flags)
    }
}

/// The flag without its prefix, and whether it is for the first connection, the resumed ones, and retries.
fn scope(name: &str) -> (&str, [bool; 3]) {
    let prefixes = [
        ("-on-initial-", [true, false, false]),
        ("-on-resume-", [false, true, false]),
        ("-on-retry-", [false, false, true]),
    ];
    for (prefix, scope) in prefixes {
        if let Some(option) = name.strip_prefix(prefix) {
            return (option, scope);
        }
    }
    (name.strip_prefix('-').unwrap_or(name), [true; 3])
}

fn takes_value(option: &str) -> bool {
    const WITH_VALUE: [&str; 42] = [
        "advertise-alpn",
        "cert-file",
        "curves",
        "expect-advertised-alpn",
        "expect-alpn",
        "expect-cipher",
        "expect-cipher-aes",
        "expect-cipher-no-aes",
        "expect-client-ca-list",
        "expect-curve-id",
        "expect-early-data-reason",
        "expect-ocsp-response",
        "expect-peer-cert-file",
        "expect-peer-signature-algorithm",
        "expect-peer-verify-pref",
        "expect-selected-credential",
        "expect-server-name",
        "expect-signed-cert-timestamps",
        "expect-version",
        "export-context",
        "export-early-keying-material",
        "export-keying-material",
        "export-label",
        "host-name",
        "key-file",
        "key-shares",
        "max-version",
        "min-version",
        "ocsp-response",
        "read-size",
        "resumption-delay",
        "repeat-shim-initial-write",
        "select-alpn",
        "shim-initial-write",
        "signed-cert-timestamps",
        "signing-prefs",
        "trust-cert",
        "use-client-ca-list",
        "verify-prefs",
        "max-send-fragment",
        "max-cert-list",
        "expect-certificate-types",
    ];
    WITH_VALUE.contains(&option)
}

impl Options {
    fn set(&mut self, option: &str, value: &Value) -> Result<(), Refused> {
        match option {
            // The verifier here accepts any chain, as BoringSSL's shim does: the runner tests what is decided with it.
            "trust-cert" => {}
            // For a library with one way to choose certificates, and one order of preference.
            "use-old-client-cert-callback" | "server-preference" => {}
            // The ClientHello is looked at in every connection, and the first read completes the handshake in none.
            "use-early-callback" | "implicit-handshake" => {}
            // We never renegotiate.
            "forbid-renegotiation-after-handshake" => {}
            "max-send-fragment" => self.max_fragment = Some(value.number()?),
            "max-cert-list" => self.max_certificate_message = Some(value.number()?),
            "no-server-name-ack" => self.ignore_server_name = true,
            "select-empty-alpn" => self.select_empty_alpn = true,

            "min-version" => self.min_version = Some(ProtocolVersion(value.number()?)),
            "max-version" => self.max_version = Some(ProtocolVersion(value.number()?)),
            "no-tls1" => self.without_version.push(ProtocolVersion::TLS10),
            "no-tls11" => self.without_version.push(ProtocolVersion::TLS11),
            "no-tls12" => self.without_version.push(ProtocolVersion::TLS12),
            "no-tls13" => self.without_version.push(ProtocolVersion::TLS13),
            "curves" => self.groups.push(NamedGroup(value.number()?)),
            "key-shares" => {
                let shares = self.key_shares.get_or_insert_default();
                shares.push(NamedGroup(value.number()?));
            }
            "no-key-shares" => self.key_shares = Some(Vec::new()),
            "verify-prefs" => {
                let scheme = SignatureScheme(value.number()?);
                // No code point of TLS: BoringSSL's own for the pair of hashes that TLS 1.0 signs with.
                if scheme.0 != MD5_SHA1 {
                    self.verify_schemes.push(scheme);
                }
            }
            "async" => self.asynchronous = true,
            "host-name" => self.host_name = Some(value.text()?),
            "require-any-client-certificate" => self.require_client_certificate = true,
            "verify-peer" => self.verify_peer = true,
            "verify-fail" => self.verify_fails = true,
            "reverify-on-resume" => self.reverify_on_resume = true,
            "use-custom-verify-callback" => self.custom_verifier = true,
            "use-client-ca-list" => {
                self.client_authorities = Some(match value.text()?.as_str() {
                    "<NULL>" | "<EMPTY>" => Vec::new(),
                    names => hex_names(names)?,
                });
            }
            "no-ticket" => self.no_ticket = true,
            "enable-early-data" => self.enable_early_data = true,
            "no-legacy-server-connect" => self.no_legacy_server_connect = true,
            "advertise-alpn" => self.advertise_alpn = alpn_names(&value.0)?,
            // Nothing is the name of no protocol.
            "select-alpn" => self.select_alpn = Some(value.0.clone()).filter(|name| !name.is_empty()),
            "decline-alpn" => {}
            "reject-alpn" => self.reject_alpn = true,
            "check-close-notify" => self.check_close_notify = true,
            "shim-shuts-down" => self.shim_shuts_down = true,
            "shim-writes-first" => self.shim_writes_first = true,
            "shim-initial-write" => self.initial_write = Some(value.0.clone()),
            "repeat-shim-initial-write" => self.repeat_initial_write = Some(value.number()?),
            "read-with-unfinished-write" => self.unfinished_write = true,
            "resumption-delay" => self.resumption_delay = value.number()?,
            "read-size" => self.read_size = Some(value.number()?),
            "key-update" => self.key_update = true,
            "key-update-before-read" => self.key_update_before_read = true,
            "send-alert" => self.send_alert = true,
            "export-keying-material" => self.export.length = value.number()?,
            "export-early-keying-material" => self.early_export.length = value.number()?,
            "export-label" => {
                self.export.label.clone_from(&value.0);
                self.early_export.label.clone_from(&value.0);
            }
            "export-context" => {
                self.export.context.clone_from(&value.0);
                self.early_export.context.clone_from(&value.0);
            }
            "use-export-context" => self.export.use_context = true,
            "export-traffic-secrets" => self.export_traffic_secrets = true,
            "enable-ocsp-stapling" => self.enable_ocsp_stapling = true,
            // SCTs are always asked for.
            "enable-signed-cert-timestamps" => {}
            "use-ocsp-callback" => self.judge_ocsp = true,
            "fail-ocsp-callback" => self.fail_ocsp = true,
            "fail-cert-callback" => self.fail_certificate = true,
            "fail-early-callback" => self.fail_early_callback = true,

            "new-x509-credential" => {
                self.has_further_credentials = true;
                self.credentials.push(Credential {
                    is_further: true,
                    ..Credential::default()
                });
            }
            "cert-file" => self.credential().certificates = value.path(),
            "key-file" => self.credential().key = value.path(),
            "signing-prefs" => {
                let scheme = SignatureScheme(value.number()?);
                self.credential().schemes.push(scheme);
            }
            "ocsp-response" => self.credential().ocsp_response = Some(value.base64()?),
            "signed-cert-timestamps" => self.credential().scts = Some(value.base64()?),
            "must-match-issuer" => self.credential().must_match_issuer = true,
            _ => return self.expect.set(option, value),
        }
        Ok(())
    }

    /// The one that flags describe: the default until another is opened.
    fn credential(&mut self) -> &mut Credential {
        if self.credentials.is_empty() {
            self.credentials.push(Credential::default());
        }
        #[expect(clippy::expect_used, reason = "one was pushed if there was none")]
        self.credentials.last_mut().expect("there is one")
    }

    /// The bytes that the shim writes before it reads.
    pub(crate) fn first_write(&self) -> Vec<u8> {
        let text = self.initial_write.as_deref().unwrap_or(b"hello");
        text.repeat(self.repeat_initial_write.unwrap_or(1))
    }
}

impl Expect {
    fn set(&mut self, option: &str, value: &Value) -> Result<(), Refused> {
        match option {
            "expect-peer-signature-algorithm" => self.peer_scheme = Some(SignatureScheme(value.number()?)),
            "expect-peer-verify-pref" => self.peer_verify_schemes.push(SignatureScheme(value.number()?)),
            "expect-curve-id" => self.group = Some(NamedGroup(value.number()?)),
            "expect-version" => self.version = Some(ProtocolVersion(value.number()?)),
            "expect-cipher-aes" => self.cipher_aes = Some(value.number()?),
            // Where there is no AES hardware; the library prefers the same suites everywhere.
            "expect-cipher-no-aes" => {}
            "expect-cipher" => self.cipher = Some(value.number()?),
            "expect-hrr" => self.retry_request = Some(true),
            "expect-no-hrr" => self.retry_request = Some(false),
            "expect-session-miss" => self.session_miss = true,
            "expect-no-session" => self.no_session = true,
            "expect-session-id" => self.session_id = Some(true),
            "expect-no-session-id" => self.session_id = Some(false),
            "expect-ticket-renewal" => self.ticket_renewal = true,
            "expect-extended-master-secret" => self.extended_main_secret = true,
            "expect-secure-renegotiation" => self.secure_renegotiation = true,
            "expect-alpn" => self.alpn = Some(value.0.clone()),
            "expect-advertised-alpn" => self.advertised_alpn = Some(value.0.clone()),
            "expect-server-name" => self.server_name = Some(value.text()?),
            "expect-client-ca-list" => {
                self.client_authorities = Some(match value.text()?.as_str() {
                    "<NULL>" | "<EMPTY>" => Vec::new(),
                    names => hex_names(names)?,
                });
            }
            "expect-certificate-types" => self.certificate_types = Some(value.base64()?),
            "expect-peer-cert-file" => self.peer_certificates = Some(value.path()),
            "expect-no-peer-cert" => self.no_peer_certificate = true,
            "expect-verify-result" => self.verify_result = true,
            "expect-early-data-reason" => self.early_data_reason = Some(value.text()?),
            "expect-ticket-supports-early-data" => self.ticket_supports_early_data = true,
            "expect-accept-early-data" => self.early_data_accepted = true,
            "expect-reject-early-data" => self.early_data_rejected = true,
            "expect-no-offer-early-data" => self.no_early_data_offer = true,
            "expect-ocsp-response" => self.ocsp_response = Some(value.base64()?),
            "expect-signed-cert-timestamps" => self.scts = Some(value.base64()?),
            "expect-selected-credential" => self.credential = Some(value.number()?),
            _ => return Err(Refused::Unimplemented(option.into())),
        }
        Ok(())
    }
}

struct Value(Vec<u8>);

impl Value {
    fn text(&self) -> Result<String, Refused> {
        String::from_utf8(self.0.clone()).map_err(|_| Refused::Malformed("a value that is no text".into()))
    }

    fn number<T: std::str::FromStr>(&self) -> Result<T, Refused> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| Refused::Malformed(format!("{text} is no number that fits")))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.0.clone()))
    }

    fn base64(&self) -> Result<Vec<u8>, Refused> {
        let malformed = || Refused::Malformed("a value that is not base64".into());
        let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
        for byte in self.0.iter().take_while(|byte| **byte != b'=') {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(malformed()),
            };
            (bits, count) = (bits << 6 | u32::from(digit), count + 6);
            if count >= 8 {
                count -= 8;
                bytes.extend((bits >> count).to_be_bytes().last());
                bits &= (1 << count) - 1;
            }
        }
        Ok(bytes)
    }
}

/// A list of names as in the ALPN extension: each behind its length.
fn alpn_names(mut wire: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
    let mut names = Vec::new();
    while let Some((length, rest)) = wire.split_first() {
        let (name, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or_else(|| Refused::Malformed("a list of protocols that ends early".into()))?;
        names.push(name.to_vec());
        wire = rest;
    }
    Ok(names)
}

/// Distinguished names in hexadecimal, with commas between them.
fn hex_names(text: &str) -> Result<Vec<Vec<u8>>, Refused> {
    let names = text.split(',').map(|name| {
        let digits = name.as_bytes().chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        digits.collect::<Option<Vec<u8>>>()
    });
    names
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Refused::Malformed("names that are not hexadecimal".into()))
}
